import java.nio.file.Path;

/** What an IDE's back end needs of an SSH library; one connection. */
interface Library extends AutoCloseable {
    /** What a program ended with. */
    record Done(int status, String stdout) {}

    Done exec(String command) throws Exception;

    /** Uploads, makes executable, and renames into place, all by SFTP. */
    void deploy(Path local, String part, String whole) throws Exception;

    long size(String remote) throws Exception;

    /** A local port that leads to {@code port} on the server's loopback. */
    int forward(int port) throws Exception;
}
