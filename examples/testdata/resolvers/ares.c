/* Prints the addresses of a name as c-ares finds them, or why it finds none. */
#include <ares.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/select.h>

static int code = 1;

static void found(void *arg, int status, int timeouts, struct hostent *host)
{
	char text[INET6_ADDRSTRLEN];
	char **address;

	if (status != ARES_SUCCESS) {
		puts(ares_strerror(status));
		return;
	}
	for (address = host->h_addr_list; *address; address++)
		puts(inet_ntop(host->h_addrtype, *address, text, sizeof(text)));
	code = 0;
}

int main(int argc, char **argv)
{
	/* As the other libraries take it from resolv.conf: one second, twice for each server. */
	struct ares_options options = {.timeout = 1000, .tries = 2};
	ares_channel channel;

	if (argc != 3 || ares_library_init(ARES_LIB_INIT_ALL) ||
	    ares_init_options(&channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES))
		return 2;
	ares_gethostbyname(channel, argv[2], argv[1][0] == '4' ? AF_INET : AF_INET6, found, NULL);
	for (;;) {
		struct timeval wait, *timeout;
		fd_set readable, writable;
		int n;

		FD_ZERO(&readable);
		FD_ZERO(&writable);
		n = ares_fds(channel, &readable, &writable);
		if (!n)
			break;
		timeout = ares_timeout(channel, NULL, &wait);
		if (select(n, &readable, &writable, NULL, timeout) < 0)
			return 2;
		ares_process(channel, &readable, &writable);
	}
	ares_destroy(channel);
	ares_library_cleanup();
	return code;
}
