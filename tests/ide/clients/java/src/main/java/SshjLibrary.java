import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.PublicKey;
import java.util.List;
import java.util.concurrent.TimeUnit;
import net.schmizz.keepalive.KeepAliveProvider;
import net.schmizz.sshj.DefaultConfig;
import net.schmizz.sshj.SSHClient;
import net.schmizz.sshj.common.Buffer;
import net.schmizz.sshj.connection.channel.direct.Parameters;
import net.schmizz.sshj.connection.channel.direct.Session;
import net.schmizz.sshj.sftp.SFTPClient;
import net.schmizz.sshj.transport.verification.HostKeyVerifier;

/** sshj, whose relative the JetBrains Gateway carries. */
final class SshjLibrary implements Library {
    private final SSHClient client;

    SshjLibrary(Client.Server server) throws Exception {
        DefaultConfig config = new DefaultConfig();
        config.setKeepAliveProvider(KeepAliveProvider.KEEP_ALIVE);
        client = new SSHClient(config);
        client.addHostKeyVerifier(new HostKeyVerifier() {
            @Override
            public boolean verify(String host, int port, PublicKey key) {
                try {
                    return server.knows(new Buffer.PlainBuffer().putPublicKey(key).getCompactData());
                } catch (java.io.IOException error) {
                    throw new java.io.UncheckedIOException(error);
                }
            }

            @Override
            public List<String> findExistingAlgorithms(String host, int port) {
                return List.of();
            }
        });
        client.connect(server.host(), server.port());
        client.getConnection().getKeepAlive().setKeepAliveInterval(1);
        client.authPublickey(server.user(), server.identity().toString());
    }

    @Override
    public Done exec(String command) throws Exception {
        try (Session session = client.startSession()) {
            Session.Command running = session.exec(command);
            String out = new String(running.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            running.join(30, TimeUnit.SECONDS);
            Integer status = running.getExitStatus();
            return new Done(status == null ? -1 : status, out);
        }
    }

    @Override
    public void deploy(Path local, String part, String whole) throws Exception {
        try (SFTPClient sftp = client.newSFTPClient()) {
            sftp.put(local.toString(), part);
            sftp.chmod(part, 0755);
            sftp.rename(part, whole);
        }
    }

    @Override
    public long size(String remote) throws Exception {
        try (SFTPClient sftp = client.newSFTPClient()) {
            return sftp.size(remote);
        }
    }

    @Override
    public int forward(int port) throws Exception {
        ServerSocket listener = new ServerSocket();
        listener.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
        int local = listener.getLocalPort();
        var forwarder = client.newLocalPortForwarder(new Parameters("127.0.0.1", local, "localhost", port), listener);
        Thread thread = new Thread(() -> {
            try {
                forwarder.listen();
            } catch (java.io.IOException closed) {
                // by close() below
            }
        });
        thread.setDaemon(true);
        thread.start();
        return local;
    }

    @Override
    public void close() throws Exception {
        client.disconnect();
    }
}
