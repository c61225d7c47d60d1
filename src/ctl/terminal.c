#include "ctl/terminal.h"

#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/mem.h"

#define ENTER "\033[?1049h\033[?25l\033[H\033[2J"
#define LEAVE "\033[?25h\033[?1049l"

void terminal_write(struct terminal *t, struct slice bytes)
{
	while (bytes.len && !t->is_broken) {
		ssize_t n = write(STDOUT_FILENO, bytes.data, bytes.len);

		if (n >= 0)
			bytes = slice_from(bytes, (size_t)n);
		else if (errno != EINTR)
			t->is_broken = true;
	}
}

static void enter(struct terminal *t)
{
	struct termios raw = t->before;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
	terminal_write(t, SLICE_LIT(ENTER));
}

static void leave(struct terminal *t)
{
	terminal_write(t, SLICE_LIT(LEAVE));
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &t->before);
}

/* From here on they are read where everything else is waited for. */
static bool take_signals(struct terminal *t)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		sigaddset(&set, numbers[i]);
	t->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (t->signals < 0)
		return false;
	sigprocmask(SIG_BLOCK, &set, &t->mask);
	return true;
}

bool terminal_open(struct terminal *t)
{
	*t = (struct terminal){.signals = -1};
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) ||
	    tcgetattr(STDIN_FILENO, &t->before) < 0 || !take_signals(t))
		return false;
	enter(t);
	return true;
}

void terminal_close(struct terminal *t)
{
	leave(t);
	close(t->signals);
	sigprocmask(SIG_SETMASK, &t->mask, NULL);
}

void terminal_size(unsigned *width, unsigned *height)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 || size.ws_row == 0)
		size = (struct winsize){.ws_col = 80, .ws_row = 24};
	*width = size.ws_col;
	*height = size.ws_row;
}

static enum terminal_event read_signal(struct terminal *t)
{
	struct signalfd_siginfo signal;

	if (read(t->signals, &signal, sizeof signal) != (ssize_t)sizeof signal)
		return TERMINAL_RESIZE; /* nothing after all */
	if (signal.ssi_signo == SIGWINCH)
		return TERMINAL_RESIZE;
	if (signal.ssi_signo != SIGTSTP)
		return TERMINAL_END;
	/* The shell gets the terminal back as it was, and gives it anew when it lets us go on. */
	leave(t);
	raise(SIGSTOP);
	enter(t);
	return TERMINAL_RESIZE;
}

enum terminal_event terminal_wait(struct terminal *t, usec_t until, char *key)
{
	usec_t now = clock_monotonic(), left = until > now ? until - now : 0;
	struct pollfd all[] = {
	    {.fd = t->signals, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};

	if (t->is_broken)
		return TERMINAL_END;
	if (poll(all, ARRAY_LEN(all), (int)((left + USEC_MS - 1) / USEC_MS)) <= 0)
		return TERMINAL_TIME;
	if (all[0].revents)
		return read_signal(t);
	return read(STDIN_FILENO, key, 1) == 1 ? TERMINAL_KEY : TERMINAL_END;
}
