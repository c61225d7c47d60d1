package main

import (
	"encoding/base64"
	"strings"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

const failText = "asked to fail: 100 % d\u00e9j\u00e0 vu"

// raw is the codec that leaves messages alone, but for those of services that gRPC brings along. Its
// name becomes the content subtype.
type raw struct{ name string }

func (c raw) Name() string { return c.name }

func (raw) Marshal(v any) ([]byte, error) {
	if m, ok := v.(proto.Message); ok {
		return proto.Marshal(m)
	}
	return *(v.(*[]byte)), nil
}

func (raw) Unmarshal(b []byte, v any) error {
	if m, ok := v.(proto.Message); ok {
		return proto.Unmarshal(b, m)
	}
	*(v.(*[]byte)) = append([]byte(nil), b...)
	return nil
}

// msg is Msg of echo.proto.
type msg struct {
	text string
	n    int32
	blob []byte
}

func (m msg) bytes() *[]byte {
	var b []byte
	if m.text != "" {
		b = protowire.AppendString(protowire.AppendTag(b, 1, protowire.BytesType), m.text)
	}
	if m.n != 0 {
		b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), uint64(m.n))
	}
	if m.blob != nil {
		b = protowire.AppendBytes(protowire.AppendTag(b, 3, protowire.BytesType), m.blob)
	}
	return &b
}

func parse(b []byte) (m msg, ok bool) {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return m, false
		}
		b = b[n:]
		var bytes []byte
		var value uint64
		switch kind {
		case protowire.BytesType:
			bytes, n = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			value, n = protowire.ConsumeVarint(b)
		default:
			n = -1
		}
		if n < 0 {
			return m, false
		}
		b = b[n:]
		switch field {
		case 1:
			m.text = string(bytes)
		case 2:
			m.n = int32(value)
		case 3:
			m.blob = bytes
		}
	}
	return m, true
}

func blob(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

// forJSON gives metadata with binary values as base64.
func forJSON(md metadata.MD) metadata.MD {
	printed := metadata.MD{}
	for key, values := range md {
		for _, value := range values {
			if strings.HasSuffix(key, "-bin") {
				value = base64.StdEncoding.EncodeToString([]byte(value))
			}
			printed[key] = append(printed[key], value)
		}
	}
	return printed
}
