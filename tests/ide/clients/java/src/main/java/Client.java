import java.io.DataInputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.PublicKey;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * A JetBrains-like load by one of three libraries: a 100 MB worker deployed by SFTP and 200 short execs,
 * while one long forward carries data both ways. Exits 0 and prints one line of figures, or throws.
 *
 * <p>Usage: Client jsch|sshj|mina HOST PORT USER IDENTITY KNOWN_HOSTS
 */
final class Client {
    static final int WORKER_BYTES = 100 << 20;
    static final int EXECS = 200;
    static final int AT_ONCE = 8;

    /** Where to connect and what to trust. */
    record Server(String host, int port, String user, Path identity, Path knownHosts) {
        /** Whether a key, as it goes over the wire, is one of the pinned ones. */
        boolean knows(byte[] key) throws IOException {
            String text = Base64.getEncoder().encodeToString(key);
            return Files.readAllLines(knownHosts).stream().anyMatch(line -> line.split(" ")[2].equals(text));
        }
    }

    public static void main(String[] args) {
        try {
            Server server = new Server(args[1], Integer.parseInt(args[2]), args[3], Path.of(args[4]), Path.of(args[5]));
            try (Library library = connect(args[0], server)) {
                System.out.println(new Client(library).run());
            }
            System.exit(0); // a library's threads may linger
        } catch (Throwable error) {
            error.printStackTrace();
            System.exit(1);
        }
    }

    private static Library connect(String library, Server server) throws Exception {
        return switch (library) {
            case "jsch" -> new JschLibrary(server);
            case "sshj" -> new SshjLibrary(server);
            case "mina" -> new MinaLibrary(server);
            default -> throw new IllegalArgumentException(library);
        };
    }

    private final Library library;

    private Client(Library library) {
        this.library = library;
    }

    private String run() throws Exception {
        var pool = Executors.newCachedThreadPool();
        try (ServerSocket echo = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
            pool.submit(() -> serveEcho(echo));
            int port = library.forward(echo.getLocalPort());
            AtomicBoolean stop = new AtomicBoolean();
            Future<Long> carried = pool.submit(() -> carry(port, stop));

            long start = System.nanoTime();
            Future<Long> deployed = pool.submit(() -> {
                deploy();
                return millis(start);
            });
            List<Callable<Void>> workers = new ArrayList<>();
            for (int worker = 0; worker < AT_ONCE; worker++) {
                int first = worker;
                workers.add(() -> {
                    for (int number = first; number < EXECS; number += AT_ONCE) exec(number);
                    return null;
                });
            }
            for (Future<Void> worker : pool.invokeAll(workers)) worker.get();
            long execs = millis(start);
            long deploy = deployed.get();
            stop.set(true);
            return "%d execs in %d ms beside a deploy of %d MiB in %d ms; the forward carried %d KiB both ways"
                    .formatted(EXECS, execs, WORKER_BYTES >> 20, deploy, carried.get() >> 10);
        }
    }

    private static long millis(long since) {
        return (System.nanoTime() - since) / 1_000_000;
    }

    private void exec(int number) throws Exception {
        // As a back end's probes are: one long quoted line for the login shell to hand to sh.
        String command = "sh -c 'case \"$(uname -s)\" in Linux) echo \"%d\";; *) exit 99;; esac; exit %d'".formatted(number, number % 128);
        Library.Done done = library.exec(command);
        check(done.equals(new Library.Done(number % 128, number + "\n")), "exec " + number + ": " + done);
    }

    private void deploy() throws Exception {
        byte[] worker = new byte[WORKER_BYTES];
        new Random(1).nextBytes(worker);
        String text = "#!/bin/sh\necho the worker runs\nexit 0\n";
        System.arraycopy(text.getBytes(), 0, worker, 0, text.length());
        Path local = Files.createTempFile("podssh-worker", "");
        try {
            Files.write(local, worker);
            library.exec("mkdir -p .cache/JetBrains");
            library.deploy(local, ".cache/JetBrains/worker.part", ".cache/JetBrains/worker");
        } finally {
            Files.delete(local);
        }
        check(library.size(".cache/JetBrains/worker") == WORKER_BYTES, "size");
        String digest = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(worker));
        check(library.exec("sha256sum .cache/JetBrains/worker").stdout().startsWith(digest), "digest");
        check(library.exec("ls .cache/JetBrains").stdout().equals("worker\n"), "the part file is gone");
        Library.Done done = library.exec(".cache/JetBrains/worker");
        check(done.equals(new Library.Done(0, "the worker runs\n")), "the worker: " + done);
    }

    /** Sends blocks through the forward and expects each back, until told to stop. */
    private static long carry(int port, AtomicBoolean stop) throws Exception {
        byte[] block = new byte[64 << 10];
        byte[] back = new byte[block.length];
        long carried = 0;
        try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), port)) {
            DataInputStream in = new DataInputStream(socket.getInputStream());
            Random random = new Random(2);
            while (!stop.get()) {
                random.nextBytes(block);
                socket.getOutputStream().write(block);
                in.readFully(back);
                check(Arrays.equals(block, back), "the forward garbled a block");
                carried += block.length;
            }
        }
        check(carried > 0, "the forward carried nothing");
        return carried;
    }

    private static Void serveEcho(ServerSocket listener) throws IOException {
        while (true) {
            Socket socket = listener.accept();
            new Thread(() -> {
                try (socket) {
                    socket.getInputStream().transferTo(socket.getOutputStream());
                } catch (IOException closed) {
                    // the other end went first
                }
            }).start();
        }
    }

    private static void check(boolean holds, String what) {
        if (!holds) throw new AssertionError(what);
    }

    /** A public key as it goes over the wire, from MINA's own encoder. */
    static byte[] wire(PublicKey key) {
        var buffer = new org.apache.sshd.common.util.buffer.ByteArrayBuffer();
        buffer.putRawPublicKey(key);
        return buffer.getCompactData();
    }
}
