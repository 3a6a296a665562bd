// An application for pods, without a shell beside it.
//
//	echo               serves on :8080 (PORT): /healthz, every other path says NAME, VERSION and the certificate the sidecar saw;
//	                   with UPSTREAM, every request is passed on to it
//	echo get URL [N]   asks N times and prints "STATUS BODY" of each
//	echo fail | sleep  ends with 1; never ends
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var client = http.Client{Timeout: 5 * time.Second}

func ask(url string, given http.Header) (int, string) {
	request, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return 0, err.Error()
	}
	for _, name := range []string{"Traceparent", "Tracestate", "X-Request-Id", "Authorization"} {
		if value := given.Get(name); value != "" {
			request.Header.Set(name, value)
		}
	}
	answer, err := client.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, strings.TrimSpace(string(body))
}

func serve(writer http.ResponseWriter, request *http.Request) {
	me := os.Getenv("NAME") + " " + os.Getenv("VERSION")
	upstream := os.Getenv("UPSTREAM")
	switch {
	case request.URL.Path == "/healthz":
		fmt.Fprintln(writer, "ok")
	case upstream != "":
		status, body := ask(upstream+request.URL.Path, request.Header)
		if status == 0 {
			status = http.StatusBadGateway
		}
		writer.WriteHeader(status)
		fmt.Fprintf(writer, "%s -> %s\n", me, body)
	default:
		fmt.Fprintln(writer, me, request.Header.Get("X-Forwarded-Client-Cert"))
	}
}

func main() {
	word := "serve"
	if len(os.Args) > 1 {
		word = os.Args[1]
	}
	switch word {
	case "get":
		count := 1
		if len(os.Args) > 3 {
			count, _ = strconv.Atoi(os.Args[3])
		}
		for ; count > 0; count-- {
			status, body := ask(os.Args[2], http.Header{})
			fmt.Println(status, body)
		}
		return
	case "fail":
		fmt.Println("failed on purpose")
		os.Exit(1)
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	server := &http.Server{Addr: ":8080", Handler: http.HandlerFunc(serve)}
	if port := os.Getenv("PORT"); port != "" {
		server.Addr = ":" + port
	}
	if word == "serve" {
		go func() {
			if err := server.ListenAndServe(); err != http.ErrServerClosed {
				fmt.Println(err)
				os.Exit(1)
			}
		}()
	}
	<-ended
	within, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	server.Shutdown(within)
}
