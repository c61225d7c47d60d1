package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/cloudwego/gopkg/protocol/ttheader"
)

const ownName = "go.server"

// served is a stream at the server. Like Kitex it sends its header before the first data or trailer.
type served struct {
	*stream
	header    map[string]string
	hasHeader bool
}

func (s *served) begin() error {
	if s.hasHeader {
		return nil
	}
	s.hasHeader = true
	return s.send(ttheader.FrameTypeHeader, s.header, nil)
}

func (s *served) data(text string) error {
	if err := s.begin(); err != nil {
		return err
	}
	return s.sendText(text)
}

func (s *served) trailer(strs map[string]string, body []byte) error {
	if err := s.begin(); err != nil {
		return err
	}
	return s.send(ttheader.FrameTypeTrailer, strs, body)
}

func (s *served) end() error {
	return s.trailer(map[string]string{"ECHOED": "yes"}, nil)
}

// each calls with every text until the client has ended its side. It is false when the client has
// ended the whole stream, of which it tells.
func (s *served) each(with func(text string) error) bool {
	for {
		f, err := s.receive()
		if err != nil {
			fmt.Println("lost", s.method)
			return false
		}
		switch f.kind {
		case ttheader.FrameTypeData:
			if with(textOf(f.body)) != nil {
				return false
			}
		case ttheader.FrameTypeTrailer:
			return true
		case frameReset:
			kind, _ := exceptionIn(f.body)
			fmt.Println("canceled", s.method, kind, f.strs[cancelPath])
			return false
		}
	}
}

func (s *served) bidi() {
	if s.each(s.data) {
		s.end()
	}
}

func (s *served) up() {
	count := 0
	if s.each(func(string) error { count++; return nil }) && s.data(strconv.Itoa(count)) == nil {
		s.end()
	}
}

// down sends as many messages as the first one says, and goes on listening for a reset.
func (s *served) down() {
	ended := s.each(func(text string) error {
		n, _ := strconv.Atoi(text)
		for i := 0; i < n; i++ {
			if err := s.data(strconv.Itoa(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if ended {
		s.end()
	}
}

// early answers the first message and ends the stream, whatever the client still has to say.
func (s *served) early() {
	if f, err := s.receive(); err == nil && s.data(textOf(f.body)) == nil {
		s.end()
	}
}

func (s *served) reset() {
	if s.begin() == nil {
		s.send(frameReset, map[string]string{cancelPath: ownName},
			exception(s.method, s.id, 12012, "the handler has returned"))
	}
}

func (s *served) run() {
	defer s.link.remove(s.id)
	switch s.method {
	case "Bidi":
		s.bidi()
	case "Up":
		s.up()
	case "Down":
		s.down()
	case "Early":
		s.early()
	case "Fail":
		s.trailer(nil, exception(s.method, s.id, 6, "biz error: stream boom"))
	case "Biz":
		s.trailer(map[string]string{"biz-status": "404", "biz-message": "not found"}, nil)
	case "Reset":
		s.reset()
	default: // Kitex says nothing about methods it does not know
		s.each(func(string) error { return nil })
	}
}

// serveStreams tells every client in the header what metadata it came with.
func serveStreams(conn net.Conn) {
	defer conn.Close()
	l := newLink(conn)
	err := l.read(func(f frame) {
		if f.kind != ttheader.FrameTypeHeader {
			return // a stream that has ended
		}
		s := &served{stream: l.add(f.id, f.method), header: map[string]string{}}
		for k, v := range f.strs {
			s.header["came."+strings.TrimPrefix(k, "RPC_")] = v
		}
		for k, v := range f.ints {
			s.header["came."+strconv.Itoa(int(k))] = v
		}
		fmt.Println("began", f.method)
		go s.run()
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}
