package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

var sendsBinary bool

const (
	service    = "/pbecho.PbEcho/"
	patience   = 60 * time.Second
	binaryPeer = "\x00\xff\x10\n"
)

func patient() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// start opens a stream with metadata, which must come back.
func start(ctx context.Context, c *grpc.ClientConn, method string) grpc.ClientStream {
	ctx = metadata.AppendToOutgoingContext(ctx, "x-peer", "abc")
	if sendsBinary {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-peer-bin", binaryPeer)
	}
	stream, err := c.NewStream(ctx, streamDesc, service+method)
	if err != nil {
		wrong(method, err)
	}
	return stream
}

func receiveMsg(method string, stream grpc.ClientStream) (msg, bool) {
	var b []byte
	if err := stream.RecvMsg(&b); err == io.EOF {
		return msg{}, false
	} else if err != nil {
		wrong(method, err)
	}
	m, ok := parse(b)
	if !ok {
		wrong(method, "not a message", b)
	}
	return m, true
}

func mustEchoMetadata(method string, stream grpc.ClientStream) {
	header, err := stream.Header()
	binary := ""
	if sendsBinary {
		binary = binaryPeer
	}
	if err != nil || strings.Join(header.Get("x-echoed"), "|") != "abc" ||
		strings.Join(header.Get("x-echoed-bin"), "|") != binary {
		wrong(method, header, err)
	}
}

func unary(c *grpc.ClientConn, m msg) msg {
	ctx, cancel := patient()
	defer cancel()
	var b []byte
	if err := c.Invoke(ctx, service+"Unary", m.bytes(), &b); err != nil {
		wrong("unary", err)
	}
	back, ok := parse(b)
	if !ok || back.text != m.text || back.n != m.n || !bytes.Equal(back.blob, m.blob) {
		wrong("unary", back.text, back.n, len(back.blob))
	}
	return back
}

func fails(c *grpc.ClientConn) {
	for code := int32(1); code <= 16; code++ {
		ctx, cancel := patient()
		var b []byte
		err := c.Invoke(ctx, service+"Fail", msg{n: code}.bytes(), &b)
		cancel()
		if s := status.Convert(err); int32(s.Code()) != code || s.Message() != failText {
			wrong("fail", code, err)
		}
	}
	fmt.Println("fail 16")
}

// stream sends and receives at the same time.
func stream(c *grpc.ClientConn, method string, sent, expected int) (last msg) {
	ctx, cancel := patient()
	defer cancel()
	s := start(ctx, c, method)
	go func() {
		for n := 0; n < sent; n++ {
			m := msg{text: "ab", n: int32(n)}
			if sent == 1 {
				m.n = int32(expected)
			}
			s.SendMsg(m.bytes())
		}
		s.CloseSend()
	}()
	count := 0
	for {
		m, more := receiveMsg(method, s)
		if !more {
			break
		}
		if expected > 1 && int(m.n) != count {
			wrong(method, "message", m.n, "at", count)
		}
		count, last = count+1, m
	}
	if count != expected {
		wrong(method, "messages", count)
	}
	mustEchoMetadata(method, s)
	return last
}

func deadline(c *grpc.ClientConn) {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "x-delay-ms", "3000")
	var b []byte
	err := c.Invoke(ctx, service+"Unary", msg{text: "late"}.bytes(), &b)
	if status.Code(err) != codes.DeadlineExceeded {
		wrong("deadline", err)
	}
	fmt.Println("deadline 4")
}

func concurrent(c *grpc.ClientConn, count int) {
	var calls sync.WaitGroup
	for i := 0; i < count; i++ {
		calls.Add(1)
		go func(i int) {
			defer calls.Done()
			unary(c, msg{text: fmt.Sprint("concurrent ", i)})
		}(i)
	}
	calls.Wait()
	fmt.Println("concurrent", count)
}

func runClient(address string, calls int, binaryMetadata bool) {
	sendsBinary = binaryMetadata
	c := dial(address, "", "")
	fmt.Println("unary", unary(c, msg{text: "hello", n: 7}).text)
	fails(c)
	if sum := stream(c, "Up", 50, 1); sum.n != 50 || sum.text != strings.Repeat("ab", 50) {
		wrong("up", sum)
	}
	fmt.Println("up 50")
	stream(c, "Down", 1, 50)
	fmt.Println("down 50")
	stream(c, "Both", 50, 50)
	fmt.Println("both 50")
	for _, size := range []int{1 << 20, 4 << 20} {
		unary(c, msg{blob: blob(size)})
		fmt.Println("long", size)
	}
	deadline(c)
	concurrent(c, 100)
	for i := 0; i < calls; i++ {
		unary(c, msg{text: fmt.Sprint("serial ", i)})
	}
	fmt.Println("serial", calls)
}

// runStreams holds all streams open at once: each has its first answer before any sends its second
// message.
func runStreams(address string, connections, streams int) {
	ctx, cancel := patient()
	defer cancel()
	all := make([]grpc.ClientStream, 0, connections*streams)
	for i := 0; i < connections; i++ {
		c := dial(address, "", "")
		for j := 0; j < streams/connections; j++ {
			s, err := c.NewStream(ctx, streamDesc, service+"Both")
			if err != nil {
				wrong("open", len(all), err)
			}
			all = append(all, s)
		}
	}
	var good int64
	for round := 1; round <= 2; round++ {
		var turns sync.WaitGroup
		for i, s := range all {
			turns.Add(1)
			go func(n int32, s grpc.ClientStream) {
				defer turns.Done()
				s.SendMsg(msg{n: n}.bytes())
				if m, more := receiveMsg("both", s); !more || m.n != n {
					wrong("round", round, n, m.n, more)
				}
				atomic.AddInt64(&good, 1)
			}(int32(i*2+round), s)
		}
		turns.Wait()
		fmt.Println("round", round, len(all))
	}
	for _, s := range all {
		s.CloseSend()
		if _, more := receiveMsg("both", s); more {
			wrong("end", "another message")
		}
	}
	fmt.Println("ended", len(all))
}
