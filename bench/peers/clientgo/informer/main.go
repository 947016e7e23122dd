// A pod informer of client-go as a controller starts it, for bench/peers/sync.py: prints one line
// when it is in step with the server, and ends with its stdin.
package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	started := time.Now()
	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods().Informer()
	stop := make(chan struct{})
	factory.Start(stop)
	if !cache.WaitForCacheSync(stop, pods.HasSynced) {
		return fmt.Errorf("never in step")
	}
	seconds := time.Since(started).Seconds()
	fmt.Printf("{\"seconds\": %f, \"objects\": %d}\n", seconds, len(pods.GetStore().ListKeys()))
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
