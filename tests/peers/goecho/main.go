// A peer with the gopkg codec for TTHeader and nothing else between it and the socket.
//
//	goecho server ADDRESS
//	goecho client ttheader|ttheader-framed|framed|buffered ADDRESS [CALLS]
//	goecho stream-server ADDRESS
//	goecho stream-client ADDRESS [CALLS]
//
// ADDRESS is unix:PATH or HOST:PORT. The server answers each message in its own form, with the
// metadata it came with in the result. The client ends with 1 as soon as an answer is wrong. The other
// two speak TTHeader Streaming as Kitex does.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/cloudwego/gopkg/protocol/thrift"
	"github.com/cloudwego/gopkg/protocol/ttheader"
)

const patience = 10 * time.Second

func network(address string) (string, string) {
	if path := strings.TrimPrefix(address, "unix:"); path != address {
		return "unix", path
	}
	return "tcp", address
}

func wrong(what string, got ...any) {
	fmt.Println(append([]any{"WRONG", what}, got...)...)
	os.Exit(1)
}

func metadataOf(h ttheader.DecodeParam) map[string]string {
	meta := map[string]string{}
	for k, v := range h.StrInfo {
		meta[k] = v
	}
	for k, v := range h.IntInfo {
		meta["int."+strconv.Itoa(int(k))] = v
	}
	return meta
}

func serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		m, err := readMessage(r)
		if err == nil {
			err = answer(c, m)
		}
		if err != nil {
			if err != io.EOF {
				fmt.Fprintln(os.Stderr, err)
			}
			return
		}
	}
}

func answer(w io.Writer, m message) error {
	method, kind, seq, n, err := binaryProtocol.ReadMessageBegin(m.body)
	if err != nil || kind == thrift.ONEWAY {
		return err
	}
	if method != "echo" {
		unknown := thrift.NewApplicationException(1, "unknown method "+method)
		m.body, _ = thrift.MarshalFastMsg(method, thrift.EXCEPTION, seq, unknown)
		return m.write(w, map[uint16]string{ttheader.MsgType: "3"}, nil)
	}
	m.body = replyBytes(method, seq, textIn(m.body[n:]), metadataOf(m.header))
	return m.write(w, map[uint16]string{ttheader.MsgType: "2"}, map[string]string{"ECHOED": "yes"})
}

type client struct {
	mode string
	conn net.Conn
	in   *bufio.Reader
}

// call returns the answer, which must carry the sequence id and the text of the question.
func (c *client) call(method string, seq int32, text string) (message, thrift.TMessageType) {
	m := message{
		ttheader: strings.HasPrefix(c.mode, "ttheader"),
		framed:   strings.HasSuffix(c.mode, "framed"),
		body:     callBytes(method, seq, text),
	}
	m.header.SeqID = seq
	c.conn.SetDeadline(time.Now().Add(patience))
	err := m.write(c.conn, map[uint16]string{
		ttheader.FromService: "go.caller", ttheader.ToService: "demo.echo",
		ttheader.ToMethod: method, ttheader.RPCTimeout: "5000", ttheader.MsgType: "1",
	}, map[string]string{"RPC_PERSIST_TENANT": "blue", "RPC_TRANSIT_HOP": "one"})
	if err != nil {
		wrong("write", err)
	}
	reply, err := readMessage(c.in)
	if err != nil {
		wrong("read", err)
	}
	if reply.ttheader != m.ttheader || reply.framed != m.framed {
		wrong("form", reply.ttheader, reply.framed)
	}
	if reply.ttheader && reply.header.SeqID != seq {
		wrong("header sequence id", reply.header.SeqID)
	}
	_, kind, got, n, err := binaryProtocol.ReadMessageBegin(reply.body)
	if err != nil || got != seq {
		wrong("sequence id", got, err)
	}
	if back := textIn(reply.body[n:]); kind == thrift.REPLY && back != text {
		wrong("text", back)
	}
	return reply, kind
}

func printMetadata(h ttheader.DecodeParam) {
	meta := metadataOf(h)
	keys := make([]string, 0, len(meta))
	for k := range meta {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		fmt.Printf("backward %s=%s\n", k, meta[k])
	}
}

func runClient(mode, address string, calls int) {
	conn, err := net.Dial(network(address))
	if err != nil {
		wrong("connect", err)
	}
	c := client{mode, conn, bufio.NewReader(conn)}
	reply, kind := c.call("echo", 1, "hello")
	if kind != thrift.REPLY {
		wrong("type", kind)
	}
	fmt.Println("echo hello")
	printMetadata(reply.header)
	if _, kind = c.call("nowhere", -2, "hello"); kind != thrift.EXCEPTION {
		wrong("unknown method answered by type", kind)
	}
	fmt.Println("unknown exception")
	for i := 0; i < calls; i++ {
		if _, kind = c.call("echo", int32(3+i), fmt.Sprintf("serial %d", i)); kind != thrift.REPLY {
			wrong("type", kind)
		}
	}
	fmt.Println("serial", calls)
}

func runServer(address string, serve func(net.Conn)) {
	l, err := net.Listen(network(address))
	if err != nil {
		wrong("listen", err)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go serve(c)
	}
}

// number gives the argument at that position, or the default if there is none.
func number(args []string, at, otherwise int) int {
	if at >= len(args) {
		return otherwise
	}
	n, err := strconv.Atoi(args[at])
	if err != nil {
		wrong("number", args[at])
	}
	return n
}

func main() {
	args := os.Args[1:]
	role := ""
	if len(args) > 1 {
		role = args[0]
	}
	switch {
	case role == "server" && len(args) == 2:
		runServer(args[1], serve)
	case role == "client" && len(args) >= 3:
		runClient(args[1], args[2], number(args, 3, 500))
	case role == "stream-server" && len(args) == 2:
		runServer(args[1], serveStreams)
	case role == "stream-client":
		runStreamClient(args[1], number(args, 2, 500))
	default:
		fmt.Fprintln(os.Stderr, "usage: goecho server ADDRESS | client MODE ADDRESS [CALLS] | "+
			"stream-server ADDRESS | stream-client ADDRESS [CALLS]")
		os.Exit(2)
	}
}
