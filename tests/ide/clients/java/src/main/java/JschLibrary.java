import com.jcraft.jsch.ChannelExec;
import com.jcraft.jsch.ChannelSftp;
import com.jcraft.jsch.HostKey;
import com.jcraft.jsch.JSch;
import com.jcraft.jsch.Session;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** JSch, the maintained fork. */
final class JschLibrary implements Library {
    private final Session session;

    JschLibrary(Client.Server server) throws Exception {
        JSch jsch = new JSch();
        jsch.addIdentity(server.identity().toString());
        jsch.setKnownHosts(server.knownHosts().toString());
        session = jsch.getSession(server.user(), server.host(), server.port());
        session.setHostKeyAlias("workspace"); // the name in known_hosts
        session.setConfig("StrictHostKeyChecking", "yes");
        session.setServerAliveInterval(5000);
        session.connect(30_000);
        HostKey key = session.getHostKey();
        if (key == null) throw new IllegalStateException("no host key");
    }

    @Override
    public Done exec(String command) throws Exception {
        ChannelExec channel = (ChannelExec) session.openChannel("exec");
        channel.setCommand(command);
        channel.setInputStream(null);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        InputStream stdout = channel.getInputStream();
        channel.connect(30_000);
        stdout.transferTo(out);
        // JSch learns the status in its reader thread, after the end of the stream; polling is its API.
        long deadline = System.nanoTime() + 30_000_000_000L;
        while (!channel.isClosed() && System.nanoTime() < deadline) Thread.sleep(1);
        int status = channel.getExitStatus();
        channel.disconnect();
        return new Done(status, out.toString(StandardCharsets.UTF_8));
    }

    private ChannelSftp sftp() throws Exception {
        ChannelSftp channel = (ChannelSftp) session.openChannel("sftp");
        channel.connect(30_000);
        return channel;
    }

    @Override
    public void deploy(Path local, String part, String whole) throws Exception {
        ChannelSftp sftp = sftp();
        sftp.put(local.toString(), part);
        sftp.chmod(0755, part);
        sftp.rename(part, whole);
        sftp.disconnect();
    }

    @Override
    public long size(String remote) throws Exception {
        ChannelSftp sftp = sftp();
        long size = sftp.stat(remote).getSize();
        sftp.disconnect();
        return size;
    }

    @Override
    public int forward(int port) throws Exception {
        return session.setPortForwardingL("127.0.0.1", 0, "localhost", port);
    }

    @Override
    public void close() {
        session.disconnect();
    }
}
