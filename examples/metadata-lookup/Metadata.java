import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;

/**
 * The metadata of a call, for an application in Java (16 or later) behind a service with metadata:
 * lookup. The other end of its connection has a name, and the sidecar tells over a socket of its
 * own what belongs to the call that it has sent there. To be copied.
 *
 * <p>The name is an abstract one, which the JDK does not show: SocketChannel.getRemoteAddress says
 * that there is none. The few lines of C in PeerName.c, by JNI, ask the system for it; who has a
 * socket library that shows such names passes it to {@link #of(String, Integer)}.
 */
public final class Metadata {
	private final UnixDomainSocketAddress door;

	/** @param socket metadata_socket of the sidecar */
	public Metadata(String socket) {
		door = UnixDomainSocketAddress.of(socket);
	}

	/** The name of the other end without the NUL that it begins with; null: it has none. */
	static native String peerName(SocketChannel channel);

	/** JSON about the call in flight on a connection; null: there is no sidecar behind it. */
	public String of(SocketChannel connection, Integer seq) throws IOException {
		String name = peerName(connection);
		return name == null ? null : of(name, seq);
	}

	/** @param seq the sequence id where one connection carries several calls, else null */
	public String of(String name, Integer seq) throws IOException {
		String target = "/meta/" + name + (seq == null ? "" : "?seq=" + seq);
		String request = "GET " + target + " HTTP/1.0\r\n\r\n";
		ByteArrayOutputStream answer = new ByteArrayOutputStream();
		ByteBuffer room = ByteBuffer.allocate(16384);
		try (SocketChannel channel = SocketChannel.open(door)) {
			channel.write(ByteBuffer.wrap(request.getBytes(StandardCharsets.US_ASCII)));
			for (; channel.read(room) >= 0; room.clear()) {
				answer.write(room.array(), 0, room.position());
			}
		}
		String text = answer.toString(StandardCharsets.UTF_8);
		String body = text.substring(text.indexOf("\r\n\r\n") + 4);
		if (!text.startsWith("HTTP/1.1 200 ")) {
			throw new IOException("the sidecar does not tell: " + body.strip());
		}
		return body;
	}

	/** To try it: prints what is known of the call on its standard input, a connection. */
	public static void main(String[] args) throws IOException {
		System.loadLibrary("peername");
		SocketChannel connection = (SocketChannel) System.inheritedChannel();
		Integer seq = args.length > 1 ? Integer.valueOf(args[1]) : null;
		System.out.print(new Metadata(args[0]).of(connection, seq));
	}
}
