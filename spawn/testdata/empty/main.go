// Command empty ends well at once.
package main

func main() {}
