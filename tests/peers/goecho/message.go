package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"

	"github.com/cloudwego/gopkg/protocol/thrift"
	"github.com/cloudwego/gopkg/protocol/ttheader"
)

const magic = 0x1000

var binaryProtocol thrift.BinaryProtocol

// message is a Thrift message and the form it travels in: TTHeader or not, with a frame or bare.
type message struct {
	ttheader, framed bool
	header           ttheader.DecodeParam
	body             []byte // from the message head on
}

// readMessage takes the form from the first bytes, and the length of a bare message from its content.
func readMessage(r *bufio.Reader) (m message, err error) {
	first, err := r.Peek(8)
	if err != nil {
		return m, err
	}
	if binary.BigEndian.Uint16(first[4:]) == magic {
		return readTTHeader(r)
	}
	if first[0]&0x80 != 0 {
		m.body, err = readBare(r)
		return m, err
	}
	m.framed = true
	frame, err := readSized(r)
	if err == nil {
		m.body = frame[4:]
	}
	return m, err
}

// readSized reads a length word and what it announces, and gives both.
func readSized(r *bufio.Reader) ([]byte, error) {
	word, err := r.Peek(4)
	if err != nil {
		return nil, err
	}
	all := make([]byte, 4+int(binary.BigEndian.Uint32(word)))
	_, err = io.ReadFull(r, all)
	return all, err
}

func readTTHeader(r *bufio.Reader) (m message, err error) {
	m.ttheader = true
	all, err := readSized(r)
	if err != nil {
		return m, err
	}
	if m.header, err = ttheader.DecodeFromBytes(context.Background(), all); err != nil {
		return m, err
	}
	m.body = all[m.header.HeaderLen:]
	if len(m.body) > 4 && m.body[0]&0x80 == 0 {
		m.framed, m.body = true, m.body[4:]
	}
	return m, nil
}

func readBare(r *bufio.Reader) ([]byte, error) {
	first, err := r.Peek(8)
	if err != nil {
		return nil, err
	}
	head := make([]byte, 12+int(binary.BigEndian.Uint32(first[4:])))
	if _, err = io.ReadFull(r, head); err != nil {
		return nil, err
	}
	walk := thrift.NewReaderSkipDecoder(r)
	defer walk.Release()
	arguments, err := walk.Next(thrift.STRUCT)
	return append(head, arguments...), err
}

func (m *message) write(w io.Writer, ints map[uint16]string, strs map[string]string) error {
	b := m.body
	if m.framed {
		b = append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
	}
	if m.ttheader {
		head, err := ttheader.EncodeToBytes(context.Background(), ttheader.EncodeParam{
			SeqID: m.header.SeqID, ProtocolID: m.header.ProtocolID, IntInfo: ints, StrInfo: strs})
		if err != nil {
			return err
		}
		binary.BigEndian.PutUint32(head, uint32(len(head)+len(b)-4))
		b = append(head, b...)
	}
	_, err := w.Write(b)
	return err
}

// callBytes is a call of echo with the arguments {1: Req{1: text}}.
func callBytes(method string, seq int32, text string) []byte {
	b := binaryProtocol.AppendMessageBegin(nil, method, thrift.CALL, seq)
	b = binaryProtocol.AppendFieldBegin(b, thrift.STRUCT, 1)
	b = binaryProtocol.AppendFieldBegin(b, thrift.STRING, 1)
	b = binaryProtocol.AppendString(b, text)
	return binaryProtocol.AppendFieldStop(binaryProtocol.AppendFieldStop(b))
}

// replyBytes is the reply to it, {0: Resp{1: text, 2: meta}}.
func replyBytes(method string, seq int32, text string, meta map[string]string) []byte {
	b := binaryProtocol.AppendMessageBegin(nil, method, thrift.REPLY, seq)
	b = binaryProtocol.AppendFieldBegin(b, thrift.STRUCT, 0)
	b = binaryProtocol.AppendFieldBegin(b, thrift.STRING, 1)
	b = binaryProtocol.AppendString(b, text)
	b = binaryProtocol.AppendFieldBegin(b, thrift.MAP, 2)
	b = binaryProtocol.AppendMapBegin(b, thrift.STRING, thrift.STRING, len(meta))
	for k, v := range meta {
		b = binaryProtocol.AppendString(binaryProtocol.AppendString(b, k), v)
	}
	return binaryProtocol.AppendFieldStop(binaryProtocol.AppendFieldStop(b))
}

// textIn finds the text in the arguments of a call and in the result of a reply alike: the first
// field of the first field.
func textIn(b []byte) string {
	for range [2]int{} {
		_, _, n, err := binaryProtocol.ReadFieldBegin(b)
		if err != nil {
			return ""
		}
		b = b[n:]
	}
	text, _, _ := binaryProtocol.ReadString(b)
	return text
}
