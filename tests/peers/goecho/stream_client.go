package main

import (
	"fmt"
	"net"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloudwego/gopkg/protocol/ttheader"
)

const callerName = "go.caller"

var lastStream int32

// calling is a stream at the client.
type calling struct {
	*stream
	header    map[string]string
	hasHeader bool
}

// result is how a stream ended.
type result struct {
	texts   []string
	trailer map[string]string
	kind    int32 // of the exception, 0 if there is none
	text    string
	path    string // of the reset, if it was one
}

func call(l *link, method string) *calling {
	c := &calling{stream: l.add(atomic.AddInt32(&lastStream, 1), method)}
	err := l.write(frame{id: c.id, kind: ttheader.FrameTypeHeader, method: method,
		ints: map[uint16]string{ttheader.ToService: "demo.stream", ttheader.FromService: callerName},
		strs: map[string]string{"isn": "EchoService", "RPC_PERSIST_TENANT": "blue",
			"RPC_TRANSIT_HOP": "one"}})
	if err != nil {
		wrong(method, err)
	}
	return c
}

func (c *calling) halfClose() {
	c.send(ttheader.FrameTypeTrailer, nil, nil)
}

// next gives the text of a data frame, or how the stream has ended. It insists on the order of frames.
func (c *calling) next() (string, *result) {
	for {
		var f frame
		select {
		case got, more := <-c.came:
			if !more {
				wrong(c.method, errLost)
			}
			f = got
		case <-time.After(patience):
			wrong(c.method, "nothing came")
		}
		if f.method != c.method {
			wrong(c.method, "a frame of method", f.method)
		}
		if f.kind == frameReset || f.kind == ttheader.FrameTypeTrailer {
			return "", c.ended(f)
		}
		if c.hasHeader == (f.kind == ttheader.FrameTypeHeader) {
			wrong(c.method, "frame out of order", f.kind)
		}
		if f.kind == ttheader.FrameTypeData {
			return textOf(f.body), nil
		}
		c.hasHeader, c.header = true, f.strs
	}
}

func (c *calling) ended(f frame) *result {
	if f.kind == ttheader.FrameTypeTrailer && !c.hasHeader {
		wrong(c.method, "a trailer without a header")
	}
	c.link.remove(c.id)
	r := &result{trailer: f.strs, path: f.strs[cancelPath]}
	r.kind, r.text = exceptionIn(f.body)
	return r
}

// finish reads to the end.
func (c *calling) finish() *result {
	var texts []string
	for {
		text, end := c.next()
		if end != nil {
			end.texts = texts
			return end
		}
		texts = append(texts, text)
	}
}

func printSorted(what string, kv map[string]string) {
	keys := make([]string, 0, len(kv))
	for k := range kv {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		fmt.Printf("%s %s=%s\n", what, k, kv[k])
	}
}

func (r *result) mustBeGood(method string, count int) {
	if r.kind != 0 || r.path != "" || len(r.texts) != count {
		wrong(method, r.kind, r.text, r.path, len(r.texts))
	}
}

// bidi sends a message when the one before has come back.
func bidi(l *link, count int, text string) *calling {
	c := call(l, "Bidi")
	for i := 0; i < count; i++ {
		sent := fmt.Sprint(text, i)
		c.sendText(sent)
		if back, end := c.next(); end != nil || back != sent {
			wrong("bidi", i, len(back), end)
		}
	}
	c.halfClose()
	end := c.finish()
	end.mustBeGood("bidi", 0)
	if end.trailer["ECHOED"] != "yes" {
		wrong("bidi", end.trailer)
	}
	return c
}

func upAndDown(l *link, count int) {
	c := call(l, "Up")
	for i := 0; i < count; i++ {
		c.sendText("up")
	}
	c.halfClose()
	end := c.finish()
	end.mustBeGood("up", 1)
	if end.texts[0] != strconv.Itoa(count) {
		wrong("up", end.texts)
	}
	fmt.Println("up", count)

	c = call(l, "Down")
	c.sendText(strconv.Itoa(count))
	c.halfClose()
	end = c.finish()
	end.mustBeGood("down", count)
	for i, text := range end.texts {
		if text != strconv.Itoa(i) {
			wrong("down", i, text)
		}
	}
	fmt.Println("down", count)
}

func endings(l *link) {
	for _, method := range []string{"Fail", "Biz", "Reset"} {
		c := call(l, method)
		c.sendText("x")
		end := c.finish()
		fmt.Println(strings.ToLower(method), end.kind, end.text, end.path,
			end.trailer["biz-status"], end.trailer["biz-message"])
	}
	c := call(l, "Early")
	c.sendText("first")
	end := c.finish()
	end.mustBeGood("early", 1)
	c.sendText("too late")
	c.halfClose()
	fmt.Println("early", end.texts[0])
}

// cancel ends as Kitex does: a reset, and a trailer for servers that do not know resets.
func cancel(l *link) {
	c := call(l, "Bidi")
	c.sendText("x")
	c.next()
	c.send(frameReset, map[string]string{cancelPath: callerName},
		exception(c.method, c.id, 12007, "the caller has canceled"))
	c.halfClose()
	l.remove(c.id)
	fmt.Println("cancel 12007")
}

func concurrentStreams(l *link, count int) {
	var all sync.WaitGroup
	for i := 0; i < count; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			bidi(l, 10, fmt.Sprint("stream ", i, " message "))
		}(i)
	}
	all.Wait()
	fmt.Println("concurrent", count)
}

func runStreamClient(address string, calls int) {
	conn, err := net.Dial(network(address))
	if err != nil {
		wrong("connect", err)
	}
	l := newLink(conn)
	go func() {
		if err := l.read(func(frame) {}); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	c := bidi(l, 50, "text ")
	fmt.Println("bidi 50")
	printSorted("header", c.header)
	upAndDown(l, 50)
	bidi(l, 3, strings.Repeat("long ", 20000))
	fmt.Println("long 100000")
	endings(l)
	cancel(l)
	concurrentStreams(l, 100)
	for i := 0; i < calls; i++ {
		bidi(l, 1, "serial ")
	}
	fmt.Println("serial", calls)
}
