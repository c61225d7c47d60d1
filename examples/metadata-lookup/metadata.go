// The metadata of a call, for an application in Go behind a service with metadata: lookup.
//
// The other end of its connection has a name, and the sidecar tells over a socket of its own what
// belongs to the call that it has sent there. To be copied; it needs nothing but Go.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
)

// Metadata as the sidecar tells it. A value that is no text is {"base64": "..."}: any is a string, or
// such a map.
type Metadata struct {
	Name, Service, Method, Caller, Source string
	Seq                                   int32
	IDLService                            string `json:"idl_service"`
	CallerMethod                          string `json:"caller_method"`
	LogID                                 string `json:"log_id"`
	TraceID                               string `json:"trace_id"`
	DeadlineMs                            *int64 `json:"deadline_ms"`
	TimeLeftMs                            *int64 `json:"time_left_ms"`
	Persistent, Transient, Headers, Ints  map[string]any
}

// Asker asks one sidecar; it keeps no more than a few connections to it.
type Asker struct{ client http.Client }

// NewAsker takes metadata_socket of the sidecar.
func NewAsker(socket string) *Asker {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	return &Asker{http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// Of tells of the call in flight on a connection that was accepted on a unix socket; query is "" or
// "?seq=N", with the sequence id of one of several.
func (a *Asker) Of(connection net.Conn, query string) (*Metadata, error) {
	name, isAbstract := strings.CutPrefix(connection.RemoteAddr().String(), "@")
	if !isAbstract {
		return nil, errors.New("the other end is no connection of a sidecar that tells")
	}
	answer, err := a.client.Get("http://sidecar/meta/" + name + query)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var told struct {
		Metadata
		Error string
	}
	if err := json.NewDecoder(answer.Body).Decode(&told); err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%d: %s", answer.StatusCode, told.Error)
	}
	return &told.Metadata, nil
}

// To try it: prints what is known of the call on its standard input, a connection.
func main() {
	query := ""
	if len(os.Args) > 2 {
		query = "?seq=" + os.Args[2]
	}
	connection, err := net.FileConn(os.Stdin)
	if err == nil {
		var told *Metadata
		if told, err = NewAsker(os.Args[1]).Of(connection, query); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(told)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
