package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/cloudwego/gopkg/protocol/thrift"
	"github.com/cloudwego/gopkg/protocol/ttheader"
)

const (
	frameReset  = "5" // not in this version of the codec
	cancelPath  = "ttscp"
	streamAhead = 1024
)

var errLost = errors.New("the connection is lost")

// frame is one frame of TTHeader Streaming.
type frame struct {
	id           int32
	kind, method string
	ints         map[uint16]string
	strs         map[string]string
	body         []byte
}

func readFrame(r *bufio.Reader) (f frame, err error) {
	all, err := readSized(r)
	if err != nil {
		return f, err
	}
	if len(all) < 8 || !ttheader.IsStreaming(all) {
		return f, fmt.Errorf("not a streaming frame: %x", all)
	}
	h, err := ttheader.DecodeFromBytes(context.Background(), all)
	if err != nil {
		return f, err
	}
	if h.ProtocolID != ttheader.ProtocolIDThriftStruct {
		return f, fmt.Errorf("protocol id %d", h.ProtocolID)
	}
	return frame{h.SeqID, h.IntInfo[ttheader.FrameType], h.IntInfo[ttheader.ToMethod], h.IntInfo,
		h.StrInfo, all[h.HeaderLen:]}, nil
}

func (f frame) bytes() []byte {
	ints := map[uint16]string{ttheader.FrameType: f.kind, ttheader.ToMethod: f.method}
	for k, v := range f.ints {
		ints[k] = v
	}
	head, err := ttheader.EncodeToBytes(context.Background(), ttheader.EncodeParam{
		Flags: ttheader.HeaderFlagsStreaming, SeqID: f.id,
		ProtocolID: ttheader.ProtocolIDThriftStruct, IntInfo: ints, StrInfo: f.strs})
	if err != nil {
		wrong("encode", err)
	}
	binary.BigEndian.PutUint32(head, uint32(len(head)+len(f.body)-4))
	return append(head, f.body...)
}

// exception gives the payload of a trailer or a reset.
func exception(method string, id int32, kind int32, text string) []byte {
	b, _ := thrift.MarshalFastMsg(method, thrift.EXCEPTION, id, thrift.NewApplicationException(kind, text))
	return b
}

// exceptionIn gives type and text of the exception that a payload holds.
func exceptionIn(body []byte) (int32, string) {
	if len(body) == 0 {
		return 0, ""
	}
	e := thrift.NewApplicationException(0, "")
	if _, _, err := thrift.UnmarshalFastMsg(body, e); err != nil {
		var told *thrift.ApplicationException
		if errors.As(err, &told) {
			return told.TypeId(), told.Msg()
		}
		return -1, err.Error()
	}
	return e.TypeId(), e.Msg()
}

// textBytes is the struct {1: text}, which a data frame carries.
func textBytes(text string) []byte {
	b := binaryProtocol.AppendFieldBegin(nil, thrift.STRING, 1)
	return binaryProtocol.AppendFieldStop(binaryProtocol.AppendString(b, text))
}

func textOf(body []byte) string {
	_, _, n, err := binaryProtocol.ReadFieldBegin(body)
	if err != nil {
		return ""
	}
	text, _, _ := binaryProtocol.ReadString(body[n:])
	return text
}

// link is a connection with streams on it; one goroutine reads, any may write.
type link struct {
	conn    net.Conn
	writing sync.Mutex
	open    sync.Mutex
	streams map[int32]*stream
}

// stream is one end of a stream; what arrives for it waits in a channel, which is closed when the
// connection is lost.
type stream struct {
	link   *link
	id     int32
	method string
	came   chan frame
}

func newLink(conn net.Conn) *link {
	return &link{conn: conn, streams: map[int32]*stream{}}
}

func (l *link) write(f frame) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	_, err := l.conn.Write(f.bytes())
	return err
}

func (l *link) add(id int32, method string) *stream {
	s := &stream{l, id, method, make(chan frame, streamAhead)}
	l.open.Lock()
	defer l.open.Unlock()
	l.streams[id] = s
	return s
}

func (l *link) remove(id int32) {
	l.open.Lock()
	defer l.open.Unlock()
	delete(l.streams, id)
}

// read hands frames to their streams. `unknown` gets those of no stream.
func (l *link) read(unknown func(f frame)) error {
	in := bufio.NewReader(l.conn)
	for {
		f, err := readFrame(in)
		if err != nil {
			l.lose()
			if err == io.EOF {
				return nil
			}
			return err
		}
		l.open.Lock()
		s := l.streams[f.id]
		l.open.Unlock()
		if s != nil {
			s.came <- f
		} else {
			unknown(f)
		}
	}
}

func (l *link) lose() {
	l.open.Lock()
	defer l.open.Unlock()
	for id, s := range l.streams {
		close(s.came)
		delete(l.streams, id)
	}
}

func (s *stream) send(kind string, strs map[string]string, body []byte) error {
	return s.link.write(frame{id: s.id, kind: kind, method: s.method, strs: strs, body: body})
}

func (s *stream) sendText(text string) error {
	return s.send(ttheader.FrameTypeData, nil, textBytes(text))
}

func (s *stream) receive() (frame, error) {
	f, more := <-s.came
	if !more {
		return f, errLost
	}
	return f, nil
}
