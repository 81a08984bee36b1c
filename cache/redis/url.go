package redis

import (
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// URLForms is what a URL may look like, for messages and help texts.
const URLForms = "redis://host:6379/0, unix:///path/redis.sock?db=0, redis-sentinel://host1,host2:26379/master?db=0 or redis-cluster://host1,host2:6379; rediss… instead of redis… for TLS"

// Schemes are the beginnings of such URLs.
var Schemes = []string{"redis", "rediss", "unix", "redis-sentinel", "rediss-sentinel", "redis-cluster", "rediss-cluster"}

const (
	sentinelPortDefault = "26379"
	clusterPortDefault  = "6379"
	// hostsMax bounds the hosts of one URL.
	hostsMax = 64
	// redirectsMax bounds how often one call to a Cluster is sent to another node:
	// once where a slot has moved, and once more where it is moving.
	redirectsMax = 2
	// dbMax bounds the number of a database.
	dbMax = 1 << 16
)

// errURL is the only error: others might quote the URL, and that may hold a
// password.
var errURL = errors.New("parse Redis URL: write " + URLForms)

// place is where a URL points to.
type place struct {
	// single is set for one server.
	single *goredis.Options

	hosts            []string // of Sentinels or of a Cluster
	master           string   // the name of what Sentinels watch; empty: a Cluster
	user, password   string
	sentinelUser     string
	sentinelPassword string
	db               int
	tls              *tls.Config
}

// parseURL reads a URL of one of URLForms.
func parseURL(text string) (place, error) {
	scheme, rest, _ := strings.Cut(text, "://")
	base, kind, many := strings.Cut(scheme, "-")
	if !slices.Contains(Schemes, scheme) {
		return place{}, errURL
	}
	if !many {
		o, err := goredis.ParseURL(text)
		if err != nil {
			return place{}, errURL
		}
		return place{single: o}, nil
	}
	var p place
	if base == "rediss" {
		p.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	port := clusterPortDefault
	if kind == "sentinel" {
		port = sentinelPortDefault
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	if !p.readAuthority(rest[:end], port) || !p.readRest(rest[end:], kind) {
		return place{}, errURL
	}
	return p, nil
}

// readAuthority reads user:password@host1:port,host2. Package net/url knows one
// host only, so it is given them one by one.
func (p *place) readAuthority(text, port string) bool {
	at := strings.LastIndexByte(text, '@')
	if at >= 0 {
		u, err := url.Parse("redis://" + text[:at] + "@host")
		if err != nil {
			return false
		}
		p.user = u.User.Username()
		p.password, _ = u.User.Password()
	}
	for host := range strings.SplitSeq(text[at+1:], ",") {
		u, err := url.Parse("redis://" + host)
		if err != nil || u.Hostname() == "" || u.User != nil || len(p.hosts) == hostsMax {
			return false
		}
		own := u.Port()
		if own == "" {
			own = port
		}
		p.hosts = append(p.hosts, net.JoinHostPort(u.Hostname(), own))
	}
	return true
}

// readRest reads what stands behind the hosts: /master?db=0 for Sentinels.
func (p *place) readRest(text, kind string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Fragment != "" {
		return false
	}
	parameters, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return false
	}
	p.master = strings.Trim(u.Path, "/")
	if (kind == "sentinel") != (p.master != "") || strings.Contains(p.master, "/") {
		return false
	}
	for name, values := range parameters {
		switch value := values[len(values)-1]; {
		case kind != "sentinel":
			return false // a Cluster has one database
		case name == "db":
			if p.db, err = strconv.Atoi(value); err != nil || p.db < 0 || p.db > dbMax {
				return false
			}
		case name == "sentinel_user":
			p.sentinelUser = value
		case name == "sentinel_password":
			p.sentinelPassword = value
		default:
			return false
		}
	}
	return true
}

// connect returns a client. It connects when it is first used.
//
// A miss is cheaper than a second try, so nothing is tried twice. Nothing here
// needs pushes from the server, nor the commands that ask for them.
func (p place) connect(timeout time.Duration) goredis.UniversalClient {
	quiet := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	dial := dialer(timeout)
	if p.tls != nil || p.single != nil && p.single.TLSConfig != nil {
		dial = nil // go-redis' own
	}
	switch o := p.single; {
	case o != nil:
		o.ContextTimeoutEnabled = true
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = timeout, timeout, timeout, timeout
		o.MaxRetries, o.DialerRetries = -1, 1
		o.PoolSize, o.MaxActiveConns, o.PipelinePoolSize = connectionsMax, connectionsMax, -1
		o.Protocol, o.DisableIdentity, o.MaintNotificationsConfig = 2, true, quiet
		o.Dialer = dial
		return goredis.NewClient(o)
	case p.master != "":
		return goredis.NewFailoverClient(&goredis.FailoverOptions{
			MasterName: p.master, SentinelAddrs: p.hosts,
			SentinelUsername: p.sentinelUser, SentinelPassword: p.sentinelPassword,
			Username: p.user, Password: p.password, DB: p.db, TLSConfig: p.tls,
			ContextTimeoutEnabled: true,
			DialTimeout:           timeout, ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout,
			MaxRetries: -1, DialerRetries: 1,
			PoolSize: connectionsMax, MaxActiveConns: connectionsMax, PipelinePoolSize: -1,
			Protocol: 2, DisableIdentity: true, Dialer: dial,
		})
	default:
		return goredis.NewClusterClient(&goredis.ClusterOptions{
			Addrs: p.hosts, Username: p.user, Password: p.password, TLSConfig: p.tls,
			ContextTimeoutEnabled: true,
			DialTimeout:           timeout, ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout,
			MaxRetries: -1, MaxRedirects: redirectsMax, DialerRetries: 1,
			PoolSize: connectionsMax, MaxActiveConns: connectionsMax, PipelinePoolSize: -1,
			Protocol: 2, DisableIdentity: true, MaintNotificationsConfig: quiet, Dialer: dial,
		})
	}
}
