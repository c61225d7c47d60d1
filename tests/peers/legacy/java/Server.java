import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.thrift.TException;
import org.apache.thrift.protocol.TBinaryProtocol;
import org.apache.thrift.server.TThreadPoolServer;
import org.apache.thrift.transport.TServerSocket;
import org.apache.thrift.transport.TSocket;
import org.apache.thrift.transport.TTransport;
import org.apache.thrift.transport.TTransportFactory;
import org.apache.thrift.transport.layered.TFramedTransport;

/**
 * An application on Apache Thrift for Java.
 *
 * <pre>Server framed|buffered ADDRESS [NEXT]</pre>
 *
 * ADDRESS and NEXT, which relay() asks, are HOST:PORT.
 */
public final class Server implements Legacy.Iface {
	private final AtomicInteger count = new AtomicInteger();
	private final TTransportFactory ways;
	private final String next;

	private Server(TTransportFactory ways, String next) {
		this.ways = ways;
		this.next = next;
	}

	private static String bitsOf(double value) {
		return String.format("%016x", Double.doubleToLongBits(value));
	}

	private static String digestItems(List<Item> items) {
		List<String> parts = new ArrayList<>();
		for (Item item : items)
			parts.add(item.name + ":" + item.count + ":" + bitsOf(item.price) + ":" +
			    String.join(",", item.tags));
		return String.join(";", parts);
	}

	private static String digest(Query query) {
		List<String> counts = new ArrayList<>();
		for (Map.Entry<String, Integer> count : new TreeMap<>(query.counts).entrySet())
			counts.add(count.getKey() + "=" + count.getValue());
		List<String> shelves = new ArrayList<>();
		if (query.shelves != null)
			for (Map.Entry<String, List<Item>> shelf : new TreeMap<>(query.shelves).entrySet())
				shelves.add(shelf.getKey() + "=[" + digestItems(shelf.getValue()) + "]");
		byte[] blob = query.isSetBlob() ? query.getBlob() : new byte[0];
		long sum = 0;
		for (byte b : blob)
			sum += b & 0xff;
		return String.join("|", query.text, Long.toString(query.number), bitsOf(query.weight),
		    Boolean.toString(query.flag), digestItems(query.items), String.join(",", counts),
		    String.join(",", shelves), blob.length + "/" + (sum & 0xffffffffL));
	}

	private static String lines(Map<String, String> facts, String prefix) {
		StringBuilder all = new StringBuilder();
		if (facts != null)
			for (Map.Entry<String, String> fact : new TreeMap<>(facts).entrySet())
				all.append(prefix + fact.getKey() + "=" + fact.getValue() + "\n");
		return all.toString();
	}

	private static String linesOf(Base base) {
		return "LogID=" + base.LogID + "\nCaller=" + base.Caller + "\nAddr=" + base.Addr +
		    "\nClient=" + base.Client + "\n" + lines(base.Extra, "Extra.");
	}

	private static void waitAsAsked(Query query) throws TException {
		try {
			Thread.sleep(query.delay_ms);
		} catch (InterruptedException e) {
			throw new TException(e);
		}
	}

	private static void failIfAsked(Query query) throws Refused {
		if (query.text.equals("boom"))
			throw new IllegalStateException("undeclared");
		if (query.text.equals("refuse"))
			throw new Refused(7, "declared");
	}

	@Override
	public Answer ask(Query query) throws TException {
		waitAsAsked(query);
		failIfAsked(query);
		Answer answer = new Answer(digest(query), "", "", query.items);
		if (query.base != null) // known
			answer.base = linesOf(query.base); // known
		if (query.text.startsWith("status ")) // known
			answer.baseResp = new BaseResp("no stock", Integer.parseInt(query.text.substring(7))) // known
			    .setExtra(Map.of("shelf", "7")); // known
		return answer;
	}

	@Override
	public void store(Query query) throws Refused {
		failIfAsked(query);
		count.incrementAndGet();
	}

	@Override
	public void note(Query query) {
		count.incrementAndGet();
	}

	@Override
	public int stored() {
		return count.get();
	}

	@Override
	public Answer relay(Query query) throws TException {
		waitAsAsked(query);
		InetSocketAddress address = addressOf(next);
		try (TTransport way = ways.getTransport(
			 new TSocket(address.getHostString(), address.getPort()))) {
			way.open();
			return new Legacy.Client(new TBinaryProtocol(way)).ask(query);
		}
	}

	@Override
	public String tell(String text
	    , Map<String, String> facts // known
	) {
		return text + "\n"
		    + lines(facts, "") // known
		;
	}

	private static InetSocketAddress addressOf(String address) {
		int colon = address.lastIndexOf(':');
		return new InetSocketAddress(address.substring(0, colon),
		    Integer.parseInt(address.substring(colon + 1)));
	}

	public static void main(String[] args) throws Exception {
		TTransportFactory ways =
		    args[0].equals("framed") ? new TFramedTransport.Factory() : new TTransportFactory();
		Server server = new Server(ways, args.length > 2 ? args[2] : "");
		new TThreadPoolServer(new TThreadPoolServer.Args(new TServerSocket(addressOf(args[1])))
		    .transportFactory(ways).protocolFactory(new TBinaryProtocol.Factory())
		    .processor(new Legacy.Processor<>(server))).serve();
	}
}
