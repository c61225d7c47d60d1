package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // answers are compressed when the call is
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	longestMessage = 64 << 20
	httpBody       = "a body that is longer than a small window"
)

// served is one call at the server, and what its metadata ask for:
//
//	x-peer, x-peer-bin   come back in the headers as x-echoed, x-echoed-bin
//	x-report             everything that came is told in the trailer x-seen-bin, as JSON
//	x-trailer            NAME=VALUE for the trailers
//	x-delay-ms           wait before the first answer
//	x-pause-us           wait before each message of Down
type served struct {
	grpc.ServerStream
	method string
	came   metadata.MD
}

func (s *served) first(key string) string {
	if values := s.came.Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// prepare sets headers and trailers, and waits.
func (s *served) prepare() error {
	for _, suffix := range []string{"", "-bin"} {
		if v := s.first("x-peer" + suffix); v != "" {
			s.SetHeader(metadata.Pairs("x-echoed"+suffix, v))
		}
	}
	if s.first("x-report") != "" {
		seen, _ := json.Marshal(forJSON(s.came))
		s.SetTrailer(metadata.Pairs("x-seen-bin", string(seen)))
	}
	for _, pair := range s.came.Get("x-trailer") {
		name, value, _ := strings.Cut(pair, "=")
		s.SetTrailer(metadata.Pairs(name, value))
	}
	return s.wait(s.number("x-delay-ms") * time.Millisecond)
}

func (s *served) number(key string) time.Duration {
	n, _ := strconv.Atoi(s.first(key))
	return time.Duration(n)
}

func (s *served) wait(d time.Duration) error {
	if d == 0 {
		return nil
	}
	select {
	case <-time.After(d):
		return nil
	case <-s.Context().Done():
		return status.FromContextError(s.Context().Err()).Err()
	}
}

// each calls with every message that comes.
func (s *served) each(with func(b []byte) error) error {
	for {
		var b []byte
		err := s.RecvMsg(&b)
		if err == nil {
			err = with(b)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *served) fail() error {
	var b []byte
	if err := s.RecvMsg(&b); err != nil {
		return err
	}
	m, _ := parse(b)
	text := failText
	if m.text != "" {
		text = m.text
	}
	return status.Error(codes.Code(m.n), text)
}

func (s *served) up() error {
	var sum msg
	err := s.each(func(b []byte) error {
		m, _ := parse(b)
		sum.text += m.text
		sum.n++
		return nil
	})
	if err != nil {
		return err
	}
	return s.SendMsg(sum.bytes())
}

func (s *served) down() error {
	var b []byte
	if err := s.RecvMsg(&b); err != nil {
		return err
	}
	asked, _ := parse(b)
	pause := s.number("x-pause-us") * time.Microsecond
	for n := int32(0); n < asked.n; n++ {
		if err := s.wait(pause); err != nil {
			return err
		}
		if err := s.SendMsg(msg{asked.text, n, asked.blob}.bytes()); err != nil {
			return err
		}
	}
	return nil
}

func (s *served) echo() error {
	return s.each(func(b []byte) error { return s.SendMsg(&b) })
}

// echoThrift turns the arguments {1: x} of a unary call into the result {0: x}.
func (s *served) echoThrift() error {
	return s.each(func(b []byte) error {
		if len(b) > 2 {
			b[2] = 0
		}
		return s.SendMsg(&b)
	})
}

func (s *served) hang() error {
	<-s.Context().Done()
	return status.FromContextError(s.Context().Err()).Err()
}

func (s *served) run() error {
	if err := s.prepare(); err != nil {
		return err
	}
	switch s.method[strings.LastIndex(s.method, "/")+1:] {
	case "Fail":
		return s.fail()
	case "Up":
		return s.up()
	case "Down":
		return s.down()
	case "Hang":
		return s.hang()
	case "nowhere":
		return status.Error(codes.Unimplemented, "unknown method nowhere")
	case "Echo", "echo":
		if strings.HasSuffix(s.first("content-type"), "thrift") {
			return s.echoThrift()
		}
	}
	return s.echo()
}

// serveCall prints when a call began, with the milliseconds it was given, and how it ended.
func serveCall(_ any, stream grpc.ServerStream) error {
	s := &served{ServerStream: stream}
	s.method, _ = grpc.MethodFromServerStream(stream)
	s.came, _ = metadata.FromIncomingContext(stream.Context())
	given := "none"
	if deadline, ok := stream.Context().Deadline(); ok {
		given = strconv.FormatInt(time.Until(deadline).Milliseconds(), 10)
	}
	fmt.Println("began", s.method, given)
	err := s.run()
	ended := status.Code(err)
	if stream.Context().Err() == context.Canceled {
		ended = codes.Canceled
	}
	fmt.Println("ended", s.method, int(ended))
	return err
}

func runServer(address string, age time.Duration, streams uint32) {
	options := []grpc.ServerOption{grpc.ForceServerCodec(raw{"proto"}),
		grpc.UnknownServiceHandler(serveCall), grpc.MaxRecvMsgSize(longestMessage)}
	if age > 0 {
		options = append(options, grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: age}))
	}
	if streams > 0 {
		options = append(options, grpc.MaxConcurrentStreams(streams))
	}
	server := grpc.NewServer(options...)
	healthpb.RegisterHealthServer(server, health.NewServer()) // the whole server: SERVING
	if err := server.Serve(listen(address)); err != nil {
		wrong("serve", err)
	}
}

// runHTTP answers everything alike once the whole request has come.
func runHTTP(address string) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			w.Header().Set("x-path", r.URL.Path)
			io.WriteString(w, httpBody)
		}
	})
	http.Serve(listen(address), h2c.NewHandler(answer, &http2.Server{}))
}
