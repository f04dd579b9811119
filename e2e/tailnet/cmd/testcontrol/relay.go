package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"time"

	"tailscale.com/derp/derpserver"
	"tailscale.com/net/stunserver"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

// startRelay runs a DERP relay and a STUN server on loopback until ctx is done
// and returns the map that leads nodes there. A node says it is running only
// once it is connected to a relay, even when it has nobody to talk to.
func startRelay(ctx context.Context) (*tailcfg.DERPMap, error) {
	certificate, err := selfSigned()
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{certificate},
		// DERP takes the connection over, which HTTP/2 does not allow.
		NextProtos: []string{"http/1.1"},
		MinVersion: tls.VersionTLS13,
	})
	if err != nil {
		return nil, err
	}
	stun := stunserver.New(ctx)
	if err := stun.Listen("127.0.0.1:0"); err != nil {
		return nil, err
	}
	relay := derpserver.New(key.NewNode(), func(string, ...any) {})
	mux := http.NewServeMux()
	mux.Handle("/derp", derpserver.Handler(relay))
	mux.HandleFunc("/derp/probe", derpserver.ProbeHandler)
	mux.HandleFunc("/derp/latency-check", derpserver.ProbeHandler)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() {
		_ = server.Close()
		_ = relay.Close()
	})
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Printf("relay: %v", err)
		}
	}()
	go func() {
		if err := stun.Serve(); err != nil && ctx.Err() == nil {
			log.Printf("stun: %v", err)
		}
	}()

	node := &tailcfg.DERPNode{
		Name:             "rig1",
		RegionID:         1,
		HostName:         "127.0.0.1",
		IPv4:             "127.0.0.1",
		IPv6:             "none",
		DERPPort:         listener.Addr().(*net.TCPAddr).Port,
		STUNPort:         stun.LocalAddr().(*net.UDPAddr).Port,
		STUNTestIP:       "127.0.0.1",
		InsecureForTests: true, // nobody signed our certificate
	}
	return &tailcfg.DERPMap{Regions: map[int]*tailcfg.DERPRegion{
		1: {RegionID: 1, RegionCode: "rig", Nodes: []*tailcfg.DERPNode{node}},
	}}, nil
}

// selfSigned makes a certificate for 127.0.0.1 that lasts a day.
func selfSigned() (tls.Certificate, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(24 * time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, nil
}
