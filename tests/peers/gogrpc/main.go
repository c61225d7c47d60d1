// A gRPC peer on grpc-go that knows no generated code: whatever is in a message goes through as bytes.
//
//	gogrpc server [-age DURATION] [-streams N] ADDRESS
//	gogrpc client [-plain] ADDRESS [CALLS]
//	gogrpc call ADDRESS <JSON
//	gogrpc streams ADDRESS CONNECTIONS STREAMS
//	gogrpc http ADDRESS
//
// ADDRESS is unix:PATH or HOST:PORT. `server` answers the methods of echo.proto and echoes any other,
// `client` calls the methods of echo.proto and ends with 1 as soon as an answer is wrong, `call` makes
// the calls that the JSON describes and prints what came of them, `streams` holds many streams open at
// once, `http` is a plain HTTP/2 server. With -plain no binary metadata are sent, for servers that have
// none.
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

func network(address string) (string, string) {
	if path := strings.TrimPrefix(address, "unix:"); path != address {
		return "unix", path
	}
	return "tcp", address
}

func listen(address string) net.Listener {
	l, err := net.Listen(network(address))
	if err != nil {
		wrong("listen", err)
	}
	return l
}

func wrong(what string, got ...any) {
	fmt.Println(append([]any{"WRONG", what}, got...)...)
	os.Exit(1)
}

// number gives the argument at that position, or the default if there is none.
func number(args []string, at, otherwise int) int {
	if at >= len(args) {
		return otherwise
	}
	n, err := strconv.Atoi(args[at])
	if err != nil {
		usage()
	}
	return n
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: gogrpc server [-age DURATION] [-streams N] ADDRESS | "+
		"client [-plain] ADDRESS [CALLS] | call ADDRESS <JSON | streams ADDRESS CONNECTIONS STREAMS | http ADDRESS")
	os.Exit(2)
}

func main() {
	if len(os.Args) < 3 {
		usage()
	}
	options := flag.NewFlagSet("gogrpc", flag.ExitOnError)
	age := options.Duration("age", 0, "end connections of that age")
	streams := options.Uint("streams", 0, "how many a connection may have")
	plain := options.Bool("plain", false, "no binary metadata")
	options.Parse(os.Args[2:])
	args := options.Args()
	switch role := os.Args[1]; {
	case role == "server" && len(args) == 1:
		runServer(args[0], *age, uint32(*streams))
	case role == "client" && len(args) >= 1:
		runClient(args[0], number(args, 1, 1000), !*plain)
	case role == "call" && len(args) == 1:
		runCalls(args[0], os.Stdin)
	case role == "streams" && len(args) == 3:
		runStreams(args[0], number(args, 1, 0), number(args, 2, 0))
	case role == "http" && len(args) == 1:
		runHTTP(args[0])
	default:
		usage()
	}
}
