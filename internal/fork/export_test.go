package fork

var Busy = busy
