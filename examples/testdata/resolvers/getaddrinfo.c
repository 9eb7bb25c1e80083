/* Prints the addresses of a name as the C library that this is linked with finds them, or why it finds none. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list, *a;
	char text[INET6_ADDRSTRLEN];
	int err;

	if (argc != 3)
		return 2;
	hints.ai_family = argv[1][0] == '4' ? AF_INET : AF_INET6;
	err = getaddrinfo(argv[2], NULL, &hints, &list);
	if (err) {
		puts(gai_strerror(err));
		return 1;
	}
	for (a = list; a; a = a->ai_next) {
		const void *address = a->ai_family == AF_INET ? (void *)&((struct sockaddr_in *)a->ai_addr)->sin_addr
							      : (void *)&((struct sockaddr_in6 *)a->ai_addr)->sin6_addr;

		puts(inet_ntop(a->ai_family, address, text, sizeof(text)));
	}
	freeaddrinfo(list);
	return 0;
}
