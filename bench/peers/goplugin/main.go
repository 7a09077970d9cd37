// Command goplugin drives an echo plugin of hashicorp/go-plugin, over net/rpc or gRPC: 64 callers, or one for -mode sync,
// shared out over the plugins. It is a module of its own, so that what it needs stays out of fandango's graph.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/rpc"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

var (
	wire    = flag.String("wire", "netrpc", "netrpc or grpc")
	mode    = flag.String("mode", "sync", "sync or pipelined")
	workers = flag.Int("workers", 1, "plugins")
	tasks   = flag.Int("tasks", 1000, "calls")
	payload = flag.Int("payload", 64, "bytes of a call, at least 8")
	serve   = flag.Bool("serve", false, "be the plugin")
)

// Echo is what the plugin offers.
type Echo interface {
	Echo(message []byte) ([]byte, error)
}

var handshake = plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "BENCH", MagicCookieValue: "echo"}

func plugins() plugin.PluginSet {
	if *wire == "grpc" {
		return plugin.PluginSet{"echo": &grpcEcho{}}
	}
	return plugin.PluginSet{"echo": &rpcEcho{}}
}

func main() {
	flag.Parse()
	if *serve {
		plugin.Serve(&plugin.ServeConfig{HandshakeConfig: handshake, Plugins: plugins(), GRPCServer: plugin.DefaultGRPCServer, Logger: hclog.NewNullLogger()})
		return
	}
	if err := measure(); err != nil {
		plugin.CleanupClients()
		fmt.Fprintln(os.Stderr, "goplugin:", err)
		os.Exit(1)
	}
}

func measure() error {
	defer plugin.CleanupClients()
	var echoes []Echo
	for range *workers {
		client := plugin.NewClient(&plugin.ClientConfig{
			HandshakeConfig: handshake, Plugins: plugins(), Cmd: exec.Command(os.Args[0], append(os.Args[1:], "-serve")...),
			AllowedProtocols: []plugin.Protocol{plugin.ProtocolNetRPC, plugin.ProtocolGRPC}, Managed: true, Logger: hclog.NewNullLogger(),
		})
		protocol, err := client.Client()
		if err != nil {
			return err
		}
		raw, err := protocol.Dispense("echo")
		if err != nil {
			return err
		}
		echo, ok := raw.(Echo)
		if !ok {
			return fmt.Errorf("a %T is no echo", raw)
		}
		echoes = append(echoes, echo)
	}
	callers := 64
	if *mode == "sync" {
		callers = 1
	}
	if _, err := call(echoes, callers, min(*tasks/10, 5_000)); err != nil { // warm
		return err
	}
	begun := time.Now()
	times, err := call(echoes, callers, *tasks)
	if err != nil {
		return err
	}
	took := time.Since(begun).Seconds()
	slices.Sort(times)
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"peer": "go-plugin " + *wire, "mode": *mode, "workers": *workers, "tasks": *tasks, "payload": *payload, "seconds": took,
		"tasks_per_s": float64(*tasks) / took, "p50_us": float64(times[len(times)/2]) / 1e3,
		"mb_per_s": float64(*tasks) * float64(*payload) / took / 1e6,
	})
}

// call makes n calls, and returns how long each took.
func call(echoes []Echo, callers, n int) ([]time.Duration, error) {
	times := make([]time.Duration, max(1, n))
	failed := make([]error, callers)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			echo := echoes[c%len(echoes)]
			message := make([]byte, *payload)
			for i := c; i < n; i += callers {
				binary.LittleEndian.PutUint64(message, uint64(i))
				begun := time.Now()
				back, err := echo.Echo(message)
				times[i] = time.Since(begun)
				if err == nil && (len(back) != len(message) || !bytes.Equal(back[:8], message[:8])) {
					err = fmt.Errorf("call %d came back as another", i)
				}
				if err != nil {
					failed[c] = err
					return
				}
			}
		})
	}
	wg.Wait()
	return times, errors.Join(failed...)
}

// echo is the implementation, in the plugin.
type echo struct{}

// Echo gives back what it is given.
func (echo) Echo(message []byte) ([]byte, error) { return message, nil }

// rpcEcho is the plugin over net/rpc.
type rpcEcho struct{}

func (*rpcEcho) Server(*plugin.MuxBroker) (any, error) { return &rpcServer{echo{}}, nil }

func (*rpcEcho) Client(_ *plugin.MuxBroker, c *rpc.Client) (any, error) { return &rpcClient{c}, nil }

type rpcServer struct{ impl Echo }

// Echo is net/rpc's form of it.
func (s *rpcServer) Echo(message []byte, back *[]byte) (err error) {
	*back, err = s.impl.Echo(message)
	return err
}

type rpcClient struct{ client *rpc.Client }

// Echo calls the plugin.
func (c *rpcClient) Echo(message []byte) (back []byte, err error) {
	err = c.client.Call("Plugin.Echo", message, &back)
	return back, err
}

// grpcEcho is the plugin over gRPC. The messages are protobuf's own BytesValue, and the service is described by hand: what
// protoc would write for it.
type grpcEcho struct{ plugin.NetRPCUnsupportedPlugin }

const method = "/bench.Echo/Echo"

// GRPCServer registers the service.
func (*grpcEcho) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "bench.Echo", HandlerType: (*Echo)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Echo", Handler: handle}},
	}, echo{})
	return nil
}

func handle(srv any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var in wrapperspb.BytesValue
	if err := decode(&in); err != nil {
		return nil, err
	}
	back, err := srv.(Echo).Echo(in.GetValue())
	return &wrapperspb.BytesValue{Value: back}, err
}

// GRPCClient makes the caller's side.
func (*grpcEcho) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return &grpcClient{c}, nil
}

type grpcClient struct{ conn *grpc.ClientConn }

// Echo calls the plugin.
func (c *grpcClient) Echo(message []byte) ([]byte, error) {
	var back wrapperspb.BytesValue
	err := c.conn.Invoke(context.Background(), method, &wrapperspb.BytesValue{Value: message}, &back)
	return back.GetValue(), err
}
