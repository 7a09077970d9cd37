%% Drives a C echo behind a port, as the Interoperability Tutorial does, and prints one line of JSON:
%%   erl -noshell -pa DIR -run port main ECHO sync|pipelined WORKERS TASKS PAYLOAD
-module(port).
-export([main/1]).

main([Echo, Mode, Workers, Tasks, Payload]) ->
    [W, N, Size] = [list_to_integer(X) || X <- [Workers, Tasks, Payload]],
    Self = self(),
    Rest = binary:copy(<<0>>, Size - 8),
    Drivers = [spawn_link(fun() -> driver(Self, Echo, Mode, Rest) end) || _ <- lists:seq(1, W)],
    Each = N div W,
    _ = run(Drivers, max(1, min(Each div 10, 5000))), % warm
    Begun = erlang:monotonic_time(),
    Times = lists:sort(lists:append(run(Drivers, Each))),
    Took = (erlang:monotonic_time() - Begun) / erlang:convert_time_unit(1, second, native),
    P50 = case Times of
              [] -> 0.0;
              _ -> lists:nth(length(Times) div 2 + 1, Times) / 1000
          end,
    Rate = Each * W / Took,
    io:format("{\"peer\":\"erlang port\",\"mode\":\"~s\",\"workers\":~w,\"tasks\":~w,\"payload\":~w,\"seconds\":~.6f,"
              "\"tasks_per_s\":~.3f,\"p50_us\":~.3f,\"mb_per_s\":~.3f}~n",
              [Mode, W, Each * W, Size, Took, Rate, P50, Rate * Size / 1.0e6]),
    halt(0).

run(Drivers, N) ->
    [D ! {run, N} || D <- Drivers],
    [receive {D, Times} -> Times end || D <- Drivers].

driver(Main, Echo, Mode, Rest) ->
    Port = open_port({spawn_executable, Echo}, [{packet, 4}, binary]),
    serve(Main, Port, Mode, Rest).

serve(Main, Port, Mode, Rest) ->
    receive
        {run, N} ->
            Times = case Mode of
                        "sync" -> sync(Port, Rest, 0, N, []);
                        _ -> pipelined(Port, Rest, 0, 0, N, max(16, min(4096, (64 bsl 20) div (8 + byte_size(Rest)))))
                    end,
            Main ! {self(), Times},
            serve(Main, Port, Mode, Rest)
    end.

sync(_, _, N, N, Times) ->
    Times;
sync(Port, Rest, I, N, Times) ->
    Begun = erlang:monotonic_time(nanosecond),
    true = port_command(Port, [<<I:64>>, Rest]),
    receive {Port, {data, <<I:64, _/binary>>}} -> ok end,
    sync(Port, Rest, I + 1, N, [erlang:monotonic_time(nanosecond) - Begun | Times]).

%% Sends while fewer than Ahead are under way; the answers come in order.
pipelined(_, _, N, N, N, _) ->
    [];
pipelined(Port, Rest, Sent, Got, N, Ahead) when Sent < N, Sent - Got < Ahead ->
    true = port_command(Port, [<<Sent:64>>, Rest]),
    receive {Port, {data, <<Got:64, _/binary>>}} -> pipelined(Port, Rest, Sent + 1, Got + 1, N, Ahead)
    after 0 -> pipelined(Port, Rest, Sent + 1, Got, N, Ahead)
    end;
pipelined(Port, Rest, Sent, Got, N, Ahead) ->
    receive {Port, {data, <<Got:64, _/binary>>}} -> pipelined(Port, Rest, Sent, Got + 1, N, Ahead) end.
