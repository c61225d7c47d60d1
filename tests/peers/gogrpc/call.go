package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// order is what `call` is asked to do. Bytes are base64 in JSON.
type order struct {
	Path        string      `json:"path"`
	Authority   string      `json:"authority"`
	Subtype     string      `json:"subtype"`
	Messages    [][]byte    `json:"messages"`
	Metadata    [][2]string `json:"metadata"`
	Binary      []binary    `json:"binary"`       // metadata whose name ends in -bin
	TimeoutMS   int         `json:"timeout_ms"`   // the deadline
	CancelMS    int         `json:"cancel_ms"`    // cancel after that time
	CancelAt    int         `json:"cancel_at"`    // cancel after that many messages have come
	PingPong    bool        `json:"ping_pong"`    // wait for an answer before the next message
	KeepOpen    bool        `json:"keep_open"`    // never end the sending side
	PauseMS     int         `json:"pause_ms"`     // between messages
	SlowMS      int         `json:"slow_ms"`      // before each message that is read
	Calls       int         `json:"calls"`        // of each caller, one after the other
	Callers     int         `json:"callers"`      // at once, on one connection
	GapMS       int         `json:"gap_ms"`       // between the calls of a caller
	OnlyLengths bool        `json:"only_lengths"` // do not print the messages that came
	Gzip        bool        `json:"gzip"`
}

type binary struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}

// outcome is what came of one call.
type outcome struct {
	Code     int         `json:"code"`
	Text     string      `json:"text"`
	Header   metadata.MD `json:"header"`
	Trailer  metadata.MD `json:"trailer"`
	Messages [][]byte    `json:"messages"`
	Lengths  []int       `json:"lengths"`
	MS       int64       `json:"ms"`
}

var streamDesc = &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}

func dial(address, subtype, authority string) *grpc.ClientConn {
	target := address
	if !strings.HasPrefix(address, "unix:") {
		target = "passthrough:///" + address
	}
	if subtype == "" {
		subtype = "proto"
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{subtype}),
			grpc.MaxCallRecvMsgSize(longestMessage))}
	if authority != "" {
		options = append(options, grpc.WithAuthority(authority))
	}
	connection, err := grpc.NewClient(target, options...)
	if err != nil {
		wrong("client", err)
	}
	return connection
}

func (o *order) context() (context.Context, context.CancelFunc) {
	ctx := context.Background()
	for _, pair := range o.Metadata {
		ctx = metadata.AppendToOutgoingContext(ctx, pair[0], pair[1])
	}
	for _, pair := range o.Binary {
		ctx = metadata.AppendToOutgoingContext(ctx, pair.Key, string(pair.Value))
	}
	if o.TimeoutMS > 0 {
		return context.WithTimeout(ctx, time.Duration(o.TimeoutMS)*time.Millisecond)
	}
	return context.WithCancel(ctx)
}

func pause(ms int) {
	time.Sleep(time.Duration(ms) * time.Millisecond)
}

// send gives the messages to the stream; an error there is seen by the receiving side, too.
func (o *order) send(stream grpc.ClientStream, answered <-chan struct{}) {
	for i := range o.Messages {
		if stream.SendMsg(&o.Messages[i]) != nil {
			return
		}
		if o.PingPong {
			select {
			case <-answered:
			case <-stream.Context().Done():
				return
			}
		}
		pause(o.PauseMS)
	}
	if !o.KeepOpen {
		stream.CloseSend()
	}
}

// receive reads until the end.
func (o *order) receive(stream grpc.ClientStream, cancel func(), answered chan<- struct{},
	out *outcome) error {
	for {
		pause(o.SlowMS)
		var b []byte
		if err := stream.RecvMsg(&b); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		out.Lengths = append(out.Lengths, len(b))
		if !o.OnlyLengths {
			out.Messages = append(out.Messages, b)
		}
		if len(out.Lengths) == o.CancelAt {
			cancel()
		}
		if o.PingPong {
			answered <- struct{}{}
		}
	}
}

func (o *order) call(connection *grpc.ClientConn) (out outcome) {
	began := time.Now()
	ctx, cancel := o.context()
	defer cancel()
	if o.CancelMS > 0 {
		time.AfterFunc(time.Duration(o.CancelMS)*time.Millisecond, cancel)
	}
	var options []grpc.CallOption
	if o.Gzip {
		options = append(options, grpc.UseCompressor("gzip"))
	}
	stream, err := connection.NewStream(ctx, streamDesc, o.Path, options...)
	if err == nil {
		answered := make(chan struct{}, len(o.Messages)+1)
		go o.send(stream, answered)
		err = o.receive(stream, cancel, answered, &out)
		header, _ := stream.Header()
		out.Header, out.Trailer = forJSON(header), forJSON(stream.Trailer())
	}
	s := status.Convert(err)
	out.Code, out.Text = int(s.Code()), s.Message()
	out.MS = time.Since(began).Milliseconds()
	return out
}

func runCalls(address string, in io.Reader) {
	o := order{Calls: 1, Callers: 1}
	if err := json.NewDecoder(in).Decode(&o); err != nil {
		wrong("order", err)
	}
	connection := dial(address, o.Subtype, o.Authority)
	outcomes := make([]outcome, o.Calls*o.Callers)
	var callers sync.WaitGroup
	for i := 0; i < o.Callers; i++ {
		callers.Add(1)
		go func(mine []outcome) {
			defer callers.Done()
			for j := range mine {
				mine[j] = o.call(connection)
				pause(o.GapMS)
			}
		}(outcomes[i*o.Calls : (i+1)*o.Calls])
	}
	callers.Wait()
	printed, _ := json.Marshal(outcomes)
	fmt.Println(string(printed))
}
