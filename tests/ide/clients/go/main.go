// Command client runs one case of golang.org/x/crypto/ssh against a running server; it exits 0 and
// prints one line of figures, or says what went wrong.
//
// Usage: client CASE HOST PORT USER IDENTITY KNOWN_HOSTS
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

func main() {
	cases := map[string]func(*ssh.Client) (string, error){
		"exec": execs, "signals": signals, "dial": dial, "listen": listen, "requests": requests,
	}
	client, err := connect()
	if err == nil {
		defer client.Close()
		var figures string
		if figures, err = cases[os.Args[1]](client); err == nil {
			fmt.Println(figures)
			return
		}
	}
	fmt.Fprintln(os.Stderr, os.Args[1]+":", err)
	os.Exit(1)
}

func connect() (*ssh.Client, error) {
	private, err := os.ReadFile(os.Args[5])
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil {
		return nil, err
	}
	known, err := os.ReadFile(os.Args[6])
	if err != nil {
		return nil, err
	}
	return ssh.Dial("tcp", net.JoinHostPort(os.Args[2], os.Args[3]), &ssh.ClientConfig{
		User: os.Args[4],
		Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if strings.Contains(string(known), " "+base64.StdEncoding.EncodeToString(key.Marshal())) {
				return nil
			}
			return errors.New("not the pinned host key")
		},
		Timeout: 30 * time.Second,
	})
}

// run yields what command wrote and its error, which is an *ssh.ExitError when it failed.
func run(client *ssh.Client, command string, stdin io.Reader) (string, string, error) {
	session, err := client.NewSession()
	if err != nil {
		return "", "", err
	}
	defer session.Close()
	var stdout, stderr bytes.Buffer
	session.Stdin, session.Stdout, session.Stderr = stdin, &stdout, &stderr
	err = session.Run(command)
	return stdout.String(), stderr.String(), err
}

func execs(client *ssh.Client) (string, error) {
	stdout, stderr, err := run(client, "echo out; echo err >&2; exit 42", nil)
	var exit *ssh.ExitError
	if !errors.As(err, &exit) || exit.ExitStatus() != 42 || stdout != "out\n" || stderr != "err\n" {
		return "", fmt.Errorf("exit 42: %q, %q, %v", stdout, stderr, err)
	}
	data := make([]byte, 8<<20)
	rand.Read(data)
	if stdout, _, err = run(client, "cat", bytes.NewReader(data)); err != nil || stdout != string(data) {
		return "", fmt.Errorf("8 MiB through cat: %d bytes back, %v", len(stdout), err)
	}
	start, slots, failures := time.Now(), make(chan struct{}, 20), make(chan error, 200)
	var group sync.WaitGroup
	for number := range 200 {
		group.Add(1)
		go func() {
			defer group.Done()
			slots <- struct{}{}
			defer func() { <-slots }()
			out, _, err := run(client, fmt.Sprintf("echo %d", number), nil)
			if err != nil || out != fmt.Sprintf("%d\n", number) {
				failures <- fmt.Errorf("exec %d: %q, %v", number, out, err)
			}
		}()
	}
	group.Wait()
	close(failures)
	if err := <-failures; err != nil {
		return "", err
	}
	return fmt.Sprintf("exit status, 8 MiB of stdin; 200 execs, 20 at a time, in %v", time.Since(start).Round(time.Millisecond)), nil
}

func signals(client *ssh.Client) (string, error) {
	for _, signal := range []ssh.Signal{ssh.SIGTERM, ssh.SIGINT, ssh.SIGHUP, ssh.SIGKILL, ssh.SIGUSR1} {
		session, err := client.NewSession()
		if err != nil {
			return "", err
		}
		stdout, err := session.StdoutPipe()
		if err != nil {
			return "", err
		}
		if err := session.Start("echo ready; exec sleep 600"); err != nil {
			return "", err
		}
		if _, err := io.ReadFull(stdout, make([]byte, len("ready\n"))); err != nil {
			return "", err
		}
		if err := session.Signal(signal); err != nil {
			return "", err
		}
		var exit *ssh.ExitError
		if err := session.Wait(); !errors.As(err, &exit) || exit.Signal() != string(signal) {
			return "", fmt.Errorf("after %s: %v", signal, err)
		}
	}
	// A terminal that changes its size under a running program.
	session, err := client.NewSession()
	if err != nil {
		return "", err
	}
	defer session.Close()
	stdout, err := session.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := session.RequestPty("xterm", 24, 80, ssh.TerminalModes{ssh.ECHO: 0, ssh.OPOST: 0}); err != nil {
		return "", err
	}
	script := `trap 'stty size; exit 7' WINCH; stty size; while :; do sleep 0.02; done`
	if err := session.Start("exec bash -c '" + strings.ReplaceAll(script, "'", `'\''`) + "'"); err != nil {
		return "", err
	}
	if _, err := io.ReadFull(stdout, make([]byte, len("24 80\n"))); err != nil {
		return "", err
	}
	if err := session.WindowChange(50, 132); err != nil {
		return "", err
	}
	after, err := io.ReadAll(stdout)
	if err != nil || string(after) != "50 132\n" {
		return "", fmt.Errorf("after the window change: %q, %v", after, err)
	}
	var exit *ssh.ExitError
	if err := session.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 7 {
		return "", fmt.Errorf("end of the trap: %v", err)
	}
	return "TERM, INT, HUP, KILL, USR1 by session signal; window change", nil
}

// echo answers every connection of listener with what it was sent.
func echo(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			io.Copy(conn, conn)
			if half, ok := conn.(interface{ CloseWrite() error }); ok {
				half.CloseWrite()
			}
		}()
	}
}

// echoes sends data there and expects the same back, each direction at its own pace, with a half-close.
func echoes(conn net.Conn, data []byte) error {
	defer conn.Close()
	go func() {
		conn.Write(data)
		conn.(interface{ CloseWrite() error }).CloseWrite()
	}()
	back, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(back, data) {
		return fmt.Errorf("%d bytes of %d back, %v", len(back), len(data), err)
	}
	return nil
}

func dial(client *ssh.Client) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	go echo(listener)
	data := make([]byte, 8<<20)
	rand.Read(data)
	start, failures := time.Now(), make(chan error, 8)
	for range cap(failures) {
		go func() {
			conn, err := client.Dial("tcp", listener.Addr().String())
			if err == nil {
				err = echoes(conn, data)
			}
			failures <- err
		}()
	}
	for range cap(failures) {
		if err := <-failures; err != nil {
			return "", err
		}
	}
	took := time.Since(start).Round(time.Millisecond)
	listener.Close()
	var refused *ssh.OpenChannelError
	if _, err := client.Dial("tcp", listener.Addr().String()); !errors.As(err, &refused) || refused.Reason != ssh.ConnectionFailed {
		return "", fmt.Errorf("a port that nobody listens on: %v", err)
	}
	return fmt.Sprintf("8 forwards of 8 MiB there and back at once in %v", took), nil
}

func listen(client *ssh.Client) (string, error) {
	data := make([]byte, 4<<20)
	rand.Read(data)
	listener, err := client.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go echo(listener)
	for range 3 {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err == nil {
			err = echoes(conn, data)
		}
		if err != nil {
			return "", err
		}
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return "", err
	}
	if conn, err := net.Dial("tcp", address); err == nil {
		conn.Close()
		return "", errors.New("the port is still open after the cancel")
	}

	directory, _, err := run(client, "mktemp -d", nil)
	if err != nil {
		return "", err
	}
	directory = strings.TrimSpace(directory)
	socket := directory + "/socket"
	unix, err := client.ListenUnix(socket)
	if err != nil {
		return "", err
	}
	go echo(unix)
	conn, err := client.Dial("unix", socket)
	if err == nil {
		err = echoes(conn, data)
	}
	if err != nil {
		return "", err
	}
	if err := unix.Close(); err != nil {
		return "", err
	}
	if _, _, err := run(client, "rm -rf "+directory, nil); err != nil {
		return "", err
	}
	return "3 connections to a remote listener, 4 MiB each; unix listener; both cancelled", nil
}

func requests(client *ssh.Client) (string, error) {
	for _, name := range []string{"keepalive@openssh.com", "nobody@knows.example"} {
		ok, _, err := client.SendRequest(name, true, nil)
		if err != nil || ok {
			return "", fmt.Errorf("global request %s: %v, %v", name, ok, err)
		}
	}
	session, err := client.NewSession()
	if err != nil {
		return "", err
	}
	defer session.Close()
	if ok, err := session.SendRequest("nobody@knows.example", true, nil); err != nil || ok {
		return "", fmt.Errorf("channel request: %v, %v", ok, err)
	}
	if err := session.Setenv("GIT_PROTOCOL", "version=2"); err != nil {
		return "", err
	}
	if out, err := session.Output("printf %s $GIT_PROTOCOL"); err != nil || string(out) != "version=2" {
		return "", fmt.Errorf("env: %q, %v", out, err)
	}
	return "keepalive, unknown global and channel requests, env", nil
}
