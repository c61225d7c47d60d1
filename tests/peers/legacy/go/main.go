// An application on Apache Thrift for Go.
//
//	legacy framed|buffered ADDRESS [NEXT]
//
// ADDRESS and NEXT, which relay() asks, are unix:PATH.
package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"sort"
	"strconv" // known
	"strings"
	"sync/atomic"
	"time"

	"github.com/apache/thrift/lib/go/thrift"

	"legacy/gen/legacy"
)

const patience = 10 * time.Second

func digestItems(items []*legacy.Item) string {
	var parts []string
	for _, i := range items {
		parts = append(parts, fmt.Sprintf("%s:%d:%016x:%s",
			i.Name, i.Count, math.Float64bits(i.Price), strings.Join(i.Tags, ",")))
	}
	return strings.Join(parts, ";")
}

func digest(q *legacy.Query) string {
	var counts, shelves []string
	for k, v := range q.Counts {
		counts = append(counts, fmt.Sprintf("%s=%d", k, v))
	}
	for k, v := range q.Shelves {
		shelves = append(shelves, k+"=["+digestItems(v)+"]")
	}
	sort.Strings(counts)
	sort.Strings(shelves)
	sum := uint32(0)
	for _, b := range q.Blob {
		sum += uint32(b)
	}
	return strings.Join([]string{q.Text, fmt.Sprint(q.Number),
		fmt.Sprintf("%016x", math.Float64bits(q.Weight)), fmt.Sprint(q.Flag), digestItems(q.Items),
		strings.Join(counts, ","), strings.Join(shelves, ","), fmt.Sprintf("%d/%d", len(q.Blob), sum)}, "|")
}

func lines(facts map[string]string, prefix string) string {
	var all []string
	for k, v := range facts {
		all = append(all, prefix+k+"="+v+"\n")
	}
	sort.Strings(all)
	return strings.Join(all, "")
}

func linesOf(b *legacy.Base) string {
	return fmt.Sprintf("LogID=%s\nCaller=%s\nAddr=%s\nClient=%s\n", b.LogID, b.Caller, b.Addr, b.Client) +
		lines(b.Extra, "Extra.")
}

type application struct {
	config *thrift.TConfiguration
	ways   thrift.TTransportFactory
	next   string
	count  atomic.Int32
}

func waitAsAsked(q *legacy.Query) {
	time.Sleep(time.Duration(q.GetDelayMs()) * time.Millisecond)
}

func failIfAsked(q *legacy.Query) error {
	switch q.Text {
	case "boom":
		return errors.New("undeclared")
	case "refuse":
		return &legacy.Refused{Code: 7, Why: "declared"}
	}
	return nil
}

func (a *application) Ask(_ context.Context, q *legacy.Query) (*legacy.Answer, error) {
	waitAsAsked(q)
	if err := failIfAsked(q); err != nil {
		return nil, err
	}
	answer := &legacy.Answer{Digest: digest(q), Items: q.Items}
	if q.Base != nil { // known
		answer.Base = linesOf(q.Base) // known
	} // known
	if code, err := strconv.Atoi(strings.TrimPrefix(q.Text, "status ")); err == nil { // known
		answer.BaseResp = &legacy.BaseResp{StatusCode: int32(code), StatusMessage: "no stock", // known
			Extra: map[string]string{"shelf": "7"}} // known
	} // known
	return answer, nil
}

func (a *application) Store(_ context.Context, q *legacy.Query) error {
	err := failIfAsked(q)
	if err == nil {
		a.count.Add(1)
	}
	return err
}

func (a *application) Note(context.Context, *legacy.Query) error {
	a.count.Add(1)
	return nil
}

func (a *application) Stored(context.Context) (int32, error) {
	return a.count.Load(), nil
}

func (a *application) Relay(ctx context.Context, q *legacy.Query) (*legacy.Answer, error) {
	waitAsAsked(q)
	way, err := a.ways.GetTransport(thrift.NewTSocketFromAddrConf(addressOf(a.next), a.config))
	if err != nil {
		return nil, err
	}
	if err = way.Open(); err != nil {
		return nil, err
	}
	defer way.Close()
	return legacy.NewLegacyClientFactory(way, thrift.NewTBinaryProtocolFactoryConf(a.config)).Ask(ctx, q)
}

func (a *application) Tell(_ context.Context, text string,
	facts map[string]string, // known
) (string, error) {
	return text + "\n" +
		lines(facts, "") + // known
		"", nil
}

func addressOf(address string) net.Addr {
	return &net.UnixAddr{Name: strings.TrimPrefix(address, "unix:"), Net: "unix"}
}

func main() {
	if len(os.Args) < 3 {
		os.Exit(2)
	}
	a := application{config: &thrift.TConfiguration{ConnectTimeout: patience, SocketTimeout: patience}}
	if len(os.Args) > 3 {
		a.next = os.Args[3]
	}
	a.ways = thrift.NewTBufferedTransportFactory(4096)
	if os.Args[1] == "framed" {
		a.ways = thrift.NewTFramedTransportFactoryConf(thrift.NewTTransportFactory(), a.config)
	}
	server := thrift.NewTSimpleServer4(legacy.NewLegacyProcessor(&a),
		thrift.NewTServerSocketFromAddrTimeout(addressOf(os.Args[2]), 0), a.ways,
		thrift.NewTBinaryProtocolFactoryConf(nil))
	fmt.Fprintln(os.Stderr, server.Serve())
	os.Exit(1)
}
