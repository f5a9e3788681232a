import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.EnumSet;
import org.apache.sshd.client.SshClient;
import org.apache.sshd.client.channel.ClientChannelEvent;
import org.apache.sshd.client.session.ClientSession;
import org.apache.sshd.common.config.keys.FilePasswordProvider;
import org.apache.sshd.common.keyprovider.FileKeyPairProvider;
import org.apache.sshd.common.session.SessionHeartbeatController;
import org.apache.sshd.common.util.net.SshdSocketAddress;
import org.apache.sshd.sftp.client.SftpClient;
import org.apache.sshd.sftp.client.SftpClientFactory;

/** Apache MINA SSHD. */
final class MinaLibrary implements Library {
    private final SshClient client = SshClient.setUpDefaultClient();
    private final ClientSession session;

    MinaLibrary(Client.Server server) throws Exception {
        client.setServerKeyVerifier((connection, address, key) -> {
            try {
                return server.knows(Client.wire(key));
            } catch (java.io.IOException error) {
                throw new java.io.UncheckedIOException(error);
            }
        });
        client.setSessionHeartbeat(SessionHeartbeatController.HeartbeatType.IGNORE, Duration.ofSeconds(1));
        client.start();
        session = client.connect(server.user(), server.host(), server.port()).verify(Duration.ofSeconds(30)).getSession();
        FileKeyPairProvider keys = new FileKeyPairProvider(server.identity());
        keys.setPasswordFinder(FilePasswordProvider.EMPTY);
        session.addPublicKeyIdentity(keys.loadKeys(session).iterator().next());
        session.auth().verify(Duration.ofSeconds(30));
    }

    @Override
    public Done exec(String command) throws Exception {
        try (var channel = session.createExecChannel(command); var out = new ByteArrayOutputStream()) {
            channel.setOut(out);
            channel.open().verify(Duration.ofSeconds(30));
            channel.waitFor(EnumSet.of(ClientChannelEvent.CLOSED), Duration.ofSeconds(30));
            Integer status = channel.getExitStatus();
            return new Done(status == null ? -1 : status, out.toString(StandardCharsets.UTF_8));
        }
    }

    @Override
    public void deploy(Path local, String part, String whole) throws Exception {
        try (SftpClient sftp = SftpClientFactory.instance().createSftpClient(session)) {
            try (var to = sftp.write(part); var from = Files.newInputStream(local)) {
                from.transferTo(to);
            }
            sftp.setStat(part, new SftpClient.Attributes().perms(0100755));
            sftp.rename(part, whole);
        }
    }

    @Override
    public long size(String remote) throws Exception {
        try (SftpClient sftp = SftpClientFactory.instance().createSftpClient(session)) {
            return sftp.stat(remote).getSize();
        }
    }

    @Override
    public int forward(int port) throws Exception {
        return session.startLocalPortForwarding(
                new SshdSocketAddress("127.0.0.1", 0), new SshdSocketAddress("localhost", port)).getPort();
    }

    @Override
    public void close() throws Exception {
        session.close();
        client.stop();
    }
}
