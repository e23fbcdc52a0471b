//go:build clients

package clients

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

// rueidisClient is rueidis.
type rueidisClient struct {
	cl    rueidis.Client
	calls table
}

func openRueidis(m mode, resp int, addrs []string) (client, error) {
	opt := rueidis.ClientOption{InitAddress: addrs, ForceSingleClient: m == plain}
	if m == replicas {
		opt.SendToReplicas = func(cmd rueidis.Completed) bool { return cmd.IsReadOnly() }
	}
	if resp == 2 {
		opt.AlwaysRESP2, opt.DisableCache = true, true // its cache needs RESP3
	}
	cl, err := rueidis.NewClient(opt)
	if err != nil {
		return nil, err
	}
	r := &rueidisClient{cl: cl}
	r.calls = r.table()
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	if err := cl.Do(ctx, cl.B().Ping().Build()).Error(); err != nil {
		cl.Close()
		return nil, err
	}
	return r, nil
}

func (r *rueidisClient) close() error {
	r.cl.Close()
	return nil
}

func (r *rueidisClient) do(ctx context.Context, op string, args ...any) (any, error) {
	switch op {
	case "pipeline":
		return r.pipeline(ctx, args)
	case "scan":
		return r.scan(ctx, arguments(args).str(0))
	}
	return r.calls.do(ctx, op, args)
}

// present turns rueidis' word for null into null.
func present[T any](v T, err error) (any, error) {
	if rueidis.IsRedisNil(err) {
		return nil, nil
	}
	return v, err
}

// numbers turns the values of a map into numbers.
func numbers(m map[string]string) (any, error) {
	all := map[string]float64{}
	for k, v := range m {
		f, err := strconv.ParseFloat(v, 64)
		if err != nil {
			return nil, err
		}
		all[k] = f
	}
	return all, nil
}

func (r *rueidisClient) scan(ctx context.Context, pattern string) (any, error) {
	all := []string{}
	for _, n := range r.cl.Nodes() { // replicas too: they answer for the same keys
		part, err := walk(func(cursor uint64) ([]string, uint64, error) {
			e, err := n.Do(ctx, n.B().Scan().Cursor(cursor).Match(pattern).Build()).AsScanEntry()
			return e.Elements, e.Cursor, err
		})
		if err != nil {
			return nil, err
		}
		all = append(all, part...)
	}
	return sorted(all, nil)
}

func (r *rueidisClient) pipeline(ctx context.Context, steps []any) (any, error) {
	var cmds []rueidis.Completed
	for _, s := range steps {
		step, _ := s.([]any)
		op, a := fmt.Sprint(step[0]), arguments(step[1:])
		if op == "zadd" {
			cmds = append(cmds, r.zadd(a))
			continue
		}
		cmds = append(cmds, r.cl.B().Arbitrary(op).Keys(a.str(0)).Args(a.from(1)...).Build())
	}
	replies := make([]any, len(steps))
	for i, reply := range r.cl.DoMulti(ctx, cmds...) {
		v, err := present(reply.ToAny())
		if err != nil {
			return nil, err
		}
		replies[i] = v
	}
	return normal(replies)
}

func (r *rueidisClient) zadd(a arguments) rueidis.Completed {
	b := r.cl.B().Zadd().Key(a.str(0)).ScoreMember()
	for _, z := range zs(a[1:]) {
		b = b.ScoreMember(z.Score, fmt.Sprint(z.Member))
	}
	return b.Build()
}

// each joins the errors of a helper that answers one per key.
func each(errs map[string]error) error {
	var all []error
	for _, err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// read turns a reply into a value.
type read func(rueidis.RedisResult) (any, error)

func as[T any](f func(rueidis.RedisResult) (T, error)) read {
	return func(r rueidis.RedisResult) (any, error) { return present(f(r)) }
}

var (
	asInt    = as(rueidis.RedisResult.AsInt64)
	asFloat  = as(rueidis.RedisResult.AsFloat64)
	asString = as(rueidis.RedisResult.ToString)
	asTruth  = as(rueidis.RedisResult.AsBool)
	asList   = as(func(r rueidis.RedisResult) (any, error) { return r.ToAny() })
	asMap    = as(rueidis.RedisResult.AsStrMap)
	asSorted = as(func(r rueidis.RedisResult) (any, error) {
		list, err := r.AsStrSlice()
		return sorted(list, err)
	})
	asScored = as(func(r rueidis.RedisResult) (any, error) {
		list, err := r.AsZScores()
		all := make([]any, len(list))
		for i, z := range list {
			all[i] = []any{z.Member, z.Score}
		}
		return all, err
	})
)

// call makes an operation of a command and of how its reply is read.
func (r *rueidisClient) call(build func(b builder, a arguments) completed, how read) operation {
	return func(ctx context.Context, a arguments) (any, error) {
		return how(r.cl.Do(ctx, build(r.cl.B(), a)))
	}
}

func (r *rueidisClient) table() table {
	all := table{}
	maps.Copy(all, r.strings())
	maps.Copy(all, r.keys())
	maps.Copy(all, r.hashes())
	maps.Copy(all, r.lists())
	maps.Copy(all, r.sets())
	maps.Copy(all, r.sortedSets())
	return all
}

type (
	builder   = rueidis.Builder
	completed = rueidis.Completed
)

func (r *rueidisClient) strings() table {
	return table{
		"set": r.call(func(b builder, a arguments) completed { return b.Set().Key(a.str(0)).Value(a.str(1)).Build() }, asString),
		"setnx": func(ctx context.Context, a arguments) (any, error) {
			err := r.cl.Do(ctx, r.cl.B().Set().Key(a.str(0)).Value(a.str(1)).Nx().Build()).Error()
			if rueidis.IsRedisNil(err) {
				return false, nil
			}
			return err == nil, err
		},
		"setex": r.call(func(b builder, a arguments) completed {
			return b.Set().Key(a.str(0)).Value(a.str(1)).Ex(a.time(2, time.Second)).Build()
		}, asString),
		"setpx": r.call(func(b builder, a arguments) completed {
			return b.Set().Key(a.str(0)).Value(a.str(1)).Px(a.time(2, time.Millisecond)).Build()
		}, asString),
		"get":    r.call(func(b builder, a arguments) completed { return b.Get().Key(a.str(0)).Build() }, asString),
		"getdel": r.call(func(b builder, a arguments) completed { return b.Getdel().Key(a.str(0)).Build() }, asString),
		"append": r.call(func(b builder, a arguments) completed { return b.Append().Key(a.str(0)).Value(a.str(1)).Build() }, asInt),
		"strlen": r.call(func(b builder, a arguments) completed { return b.Strlen().Key(a.str(0)).Build() }, asInt),
		"incrby": r.call(func(b builder, a arguments) completed { return b.Incrby().Key(a.str(0)).Increment(a.int(1)).Build() }, asInt),
		"incrbyfloat": r.call(func(b builder, a arguments) completed {
			return b.Incrbyfloat().Key(a.str(0)).Increment(a.float(1)).Build()
		}, asFloat),
		"getrange": r.call(func(b builder, a arguments) completed {
			return b.Getrange().Key(a.str(0)).Start(a.int(1)).End(a.int(2)).Build()
		}, asString),
		"setrange": r.call(func(b builder, a arguments) completed {
			return b.Setrange().Key(a.str(0)).Offset(a.int(1)).Value(a.str(2)).Build()
		}, asInt),
		// Over several slots rueidis wants its helpers.
		"mset": func(ctx context.Context, a arguments) (any, error) {
			return "OK", each(rueidis.MSet(r.cl, ctx, pairsOf(a.from(0))))
		},
		"mget": func(ctx context.Context, a arguments) (any, error) {
			got, err := rueidis.MGet(r.cl, ctx, a.from(0))
			list := make([]any, len(a))
			for i := range list {
				if m := got[a.str(i)]; err == nil {
					list[i], err = present(m.ToString())
				}
			}
			return list, err
		},
	}
}

func (r *rueidisClient) keys() table {
	return table{
		"del":     r.sum(func(b builder, key string) completed { return b.Del().Key(key).Build() }),
		"exists":  r.sum(func(b builder, key string) completed { return b.Exists().Key(key).Build() }),
		"expire":  r.call(func(b builder, a arguments) completed { return b.Expire().Key(a.str(0)).Seconds(a.int(1)).Build() }, asTruth),
		"ttl":     r.call(func(b builder, a arguments) completed { return b.Ttl().Key(a.str(0)).Build() }, asInt),
		"persist": r.call(func(b builder, a arguments) completed { return b.Persist().Key(a.str(0)).Build() }, asTruth),
		"type":    r.call(func(b builder, a arguments) completed { return b.Type().Key(a.str(0)).Build() }, asString),
	}
}

// sum sends one command per key in one pipeline and adds up the replies: rueidis wants it so over several slots.
func (r *rueidisClient) sum(build func(b builder, key string) completed) operation {
	return func(ctx context.Context, a arguments) (any, error) {
		var cmds []completed
		for _, key := range a.from(0) {
			cmds = append(cmds, build(r.cl.B(), key))
		}
		total := int64(0)
		for _, reply := range r.cl.DoMulti(ctx, cmds...) {
			n, err := reply.AsInt64()
			if err != nil {
				return nil, err
			}
			total += n
		}
		return total, nil
	}
}

func (r *rueidisClient) hashes() table {
	return table{
		"hset": r.call(func(b builder, a arguments) completed {
			set := b.Hset().Key(a.str(0)).FieldValue()
			for i := 1; i < len(a); i += 2 {
				set = set.FieldValue(a.str(i), a.str(i+1))
			}
			return set.Build()
		}, asInt),
		"hget":    r.call(func(b builder, a arguments) completed { return b.Hget().Key(a.str(0)).Field(a.str(1)).Build() }, asString),
		"hgetall": r.call(func(b builder, a arguments) completed { return b.Hgetall().Key(a.str(0)).Build() }, asMap),
		"hdel":    r.call(func(b builder, a arguments) completed { return b.Hdel().Key(a.str(0)).Field(a.from(1)...).Build() }, asInt),
		"hincrby": r.call(func(b builder, a arguments) completed {
			return b.Hincrby().Key(a.str(0)).Field(a.str(1)).Increment(a.int(2)).Build()
		}, asInt),
		"hlen":    r.call(func(b builder, a arguments) completed { return b.Hlen().Key(a.str(0)).Build() }, asInt),
		"hmget":   r.call(func(b builder, a arguments) completed { return b.Hmget().Key(a.str(0)).Field(a.from(1)...).Build() }, asList),
		"hexists": r.call(func(b builder, a arguments) completed { return b.Hexists().Key(a.str(0)).Field(a.str(1)).Build() }, asTruth),
		"hscan": func(ctx context.Context, a arguments) (any, error) {
			flat, err := r.cursor(ctx, func(b builder, at uint64) completed { return b.Hscan().Key(a.str(0)).Cursor(at).Build() })
			return pairsOf(flat), err
		},
	}
}

// cursor follows one of the SCAN family to its end.
func (r *rueidisClient) cursor(ctx context.Context, build func(b builder, at uint64) completed) ([]string, error) {
	return walk(func(at uint64) ([]string, uint64, error) {
		e, err := r.cl.Do(ctx, build(r.cl.B(), at)).AsScanEntry()
		return e.Elements, e.Cursor, err
	})
}

func (r *rueidisClient) lists() table {
	return table{
		"rpush": r.call(func(b builder, a arguments) completed { return b.Rpush().Key(a.str(0)).Element(a.from(1)...).Build() }, asInt),
		"lpush": r.call(func(b builder, a arguments) completed { return b.Lpush().Key(a.str(0)).Element(a.from(1)...).Build() }, asInt),
		"lpop":  r.call(func(b builder, a arguments) completed { return b.Lpop().Key(a.str(0)).Build() }, asString),
		"rpop":  r.call(func(b builder, a arguments) completed { return b.Rpop().Key(a.str(0)).Build() }, asString),
		"lpopn": r.call(func(b builder, a arguments) completed { return b.Lpop().Key(a.str(0)).Count(a.int(1)).Build() }, asList),
		"lrange": r.call(func(b builder, a arguments) completed {
			return b.Lrange().Key(a.str(0)).Start(a.int(1)).Stop(a.int(2)).Build()
		}, asList),
		"llen": r.call(func(b builder, a arguments) completed { return b.Llen().Key(a.str(0)).Build() }, asInt),
		"lrem": r.call(func(b builder, a arguments) completed {
			return b.Lrem().Key(a.str(0)).Count(a.int(1)).Element(a.str(2)).Build()
		}, asInt),
		"ltrim": r.call(func(b builder, a arguments) completed {
			return b.Ltrim().Key(a.str(0)).Start(a.int(1)).Stop(a.int(2)).Build()
		}, asString),
	}
}

func (r *rueidisClient) sets() table {
	return table{
		"sadd":      r.call(func(b builder, a arguments) completed { return b.Sadd().Key(a.str(0)).Member(a.from(1)...).Build() }, asInt),
		"srem":      r.call(func(b builder, a arguments) completed { return b.Srem().Key(a.str(0)).Member(a.from(1)...).Build() }, asInt),
		"sismember": r.call(func(b builder, a arguments) completed { return b.Sismember().Key(a.str(0)).Member(a.str(1)).Build() }, asTruth),
		"smembers":  r.call(func(b builder, a arguments) completed { return b.Smembers().Key(a.str(0)).Build() }, asSorted),
		"scard":     r.call(func(b builder, a arguments) completed { return b.Scard().Key(a.str(0)).Build() }, asInt),
		"sscan": func(ctx context.Context, a arguments) (any, error) {
			return sorted(r.cursor(ctx, func(b builder, at uint64) completed { return b.Sscan().Key(a.str(0)).Cursor(at).Build() }))
		},
		"sinter": r.call(func(b builder, a arguments) completed { return b.Sinter().Key(a.from(0)...).Build() }, asSorted),
	}
}

func (r *rueidisClient) sortedSets() table {
	return table{
		"zadd":   r.call(func(_ builder, a arguments) completed { return r.zadd(a) }, asInt),
		"zscore": r.call(func(b builder, a arguments) completed { return b.Zscore().Key(a.str(0)).Member(a.str(1)).Build() }, asFloat),
		"zincrby": r.call(func(b builder, a arguments) completed {
			return b.Zincrby().Key(a.str(0)).Increment(a.float(1)).Member(a.str(2)).Build()
		}, asFloat),
		"zrange": r.call(func(b builder, a arguments) completed {
			return b.Zrange().Key(a.str(0)).Min(a.str(1)).Max(a.str(2)).Build()
		}, asList),
		"zrangews": r.call(func(b builder, a arguments) completed {
			return b.Zrange().Key(a.str(0)).Min(a.str(1)).Max(a.str(2)).Withscores().Build()
		}, asScored),
		"zrem": r.call(func(b builder, a arguments) completed { return b.Zrem().Key(a.str(0)).Member(a.from(1)...).Build() }, asInt),
		"zpopmin": func(ctx context.Context, a arguments) (any, error) {
			list, err := r.cl.Do(ctx, r.cl.B().Zpopmin().Key(a.str(0)).Build()).AsZScores()
			if err != nil || len(list) == 0 {
				return nil, err
			}
			return []any{list[0].Member, list[0].Score}, nil
		},
		"zcard": r.call(func(b builder, a arguments) completed { return b.Zcard().Key(a.str(0)).Build() }, asInt),
		"zrank": r.call(func(b builder, a arguments) completed { return b.Zrank().Key(a.str(0)).Member(a.str(1)).Build() }, asInt),
		"zcount": r.call(func(b builder, a arguments) completed {
			return b.Zcount().Key(a.str(0)).Min(a.str(1)).Max(a.str(2)).Build()
		}, asInt),
		"zscan": func(ctx context.Context, a arguments) (any, error) {
			flat, err := r.cursor(ctx, func(b builder, at uint64) completed { return b.Zscan().Key(a.str(0)).Cursor(at).Build() })
			if err != nil {
				return nil, err
			}
			return numbers(pairsOf(flat))
		},
	}
}
