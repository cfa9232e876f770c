// Files of fences, as presencectl watch reads them.
#include "client/tools/fence_arguments.h"
#include "testing.h"

#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

static int words_of(const char *text, char *words[FENCE_WORDS_MAX])
{
	static char line[4096];

	snprintf(line, sizeof line, "%s", text);
	return fence_line_words(line, words);
}

static void words(void)
{
	char *w[FENCE_WORDS_MAX], many[200] = "";

	CU_ASSERT_EQUAL(words_of("", w), 0);
	CU_ASSERT_EQUAL(words_of(" \t\n", w), 0);
	CU_ASSERT_EQUAL(words_of("# 1 sphere", w), 0);
	CU_ASSERT_EQUAL(words_of("1 sphere\t0,0 5\r\n", w), 4);
	CU_ASSERT_STRING_EQUAL(w[0], "1");
	CU_ASSERT_STRING_EQUAL(w[3], "5");
	CU_ASSERT_EQUAL(words_of("1 --filter 'tag = \"a b\"' x#y # rest", w), 4);
	CU_ASSERT_STRING_EQUAL(w[2], "tag = \"a b\"");
	CU_ASSERT_STRING_EQUAL(w[3], "x#y");
	CU_ASSERT_EQUAL(words_of("a\"b c\"'d e'f \"\"", w), 2);
	CU_ASSERT_STRING_EQUAL(w[0], "ab cd ef");
	CU_ASSERT_STRING_EQUAL(w[1], "");
	CU_ASSERT_EQUAL(words_of("1 'a", w), -1);
	CU_ASSERT_EQUAL(words_of("\"", w), -1);
	for (unsigned i = 0; i < FENCE_WORDS_MAX; i++)
		strcat(many, "a ");
	CU_ASSERT_EQUAL(words_of(many, w), FENCE_WORDS_MAX);
	strcat(many, "b");
	CU_ASSERT_EQUAL(words_of(many, w), -1);
}

// Of a text, by way of a file.
static unsigned read_text(const char *text, struct fence_arguments *fences[FENCE_FILE_MAX])
{
	char path[] = "/tmp/presence-fences-XXXXXX";
	int fd = mkstemp(path);
	unsigned count;

	CU_ASSERT_FATAL(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	// A mistake ends the program: nothing may be left then.
	unlink(path);
	lseek(fd, 0, SEEK_SET);
	snprintf(path, sizeof path, "/dev/fd/%d", fd);
	count = fence_file_read(path, fences);
	close(fd);
	return count;
}

static void files(void)
{
	static struct fence_arguments *f[FENCE_FILE_MAX];

	CU_ASSERT_EQUAL(read_text("# none\n\n", f), 0);
	CU_ASSERT_EQUAL(fence_file_read("/nowhere/at/all", f), 0);
	CU_ASSERT_EQUAL_FATAL(
		read_text("4 sphere -1,2,3 50 --margin 5 --enter 2s --leave 500ms\n"
			  "\n"
			  "4000000000 --polygon \"0,0 1,0 1,1\" --filter 'type = mobile'\n"
			  "5 --follow test:7 --types static sphere 20\n"
			  "6 box -1,-1 1,1 --heights 0,5", // no end of line
			f),
		4);
	CU_ASSERT_EQUAL(f[0]->fence.id, 4);
	CU_ASSERT_EQUAL(f[0]->fence.query->volume, PRESENCE_SPHERE);
	CU_ASSERT_EQUAL(f[0]->fence.query->a[0], -1);
	CU_ASSERT_EQUAL(f[0]->fence.query->radius_m, 50);
	CU_ASSERT_EQUAL(f[0]->fence.margin_m, 5);
	CU_ASSERT_EQUAL(f[0]->fence.enter_ms, 2000);
	CU_ASSERT_EQUAL(f[0]->fence.leave_ms, 500);
	CU_ASSERT_EQUAL(f[1]->fence.id, 4000000000u);
	CU_ASSERT_EQUAL(f[1]->fence.query->polygon->ring_vertices[0], 3);
	CU_ASSERT(f[1]->fence.query->filter_bytes > 0);
	CU_ASSERT(f[2]->fence.follow);
	CU_ASSERT_EQUAL(f[2]->fence.follow_id[15], 7);
	CU_ASSERT_EQUAL(f[2]->fence.query->radius_m, 20);
	CU_ASSERT_EQUAL(f[2]->fence.query->type_mask, 1);
	CU_ASSERT(f[3]->fence.query->has_heights);
	CU_ASSERT_EQUAL(f[3]->fence.query->b[1], 1);
	for (unsigned i = 0; i < 4; i++)
		free(f[i]);
}

// A mistake ends the program: each in a child of its own.
static void mistakes(void)
{
	static const char *const bad[] = {"sphere 0,0 5\n", "-1 sphere 0,0 5\n", "1\n",
		"1 'sphere\n", "4294967296 sphere 0,0 5\n", "1 point 0,0\n", "1 sphere 0,0\n",
		"1 sphere 0,0 5 6\n", "1 --follow a:1 box 0,0 1,1\n",
		"1 --follow a:1 sphere 0,0 5\n", "1 sphere 0,0 5 --margin x\n",
		"1 sphere 0,0 5 --moves\n", "1 cone 0,0 5\n", "1 sphere 0,0 5 --enter forever\n"};
	static struct fence_arguments *f[FENCE_FILE_MAX];

	for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		int status = 0;
		pid_t child;

		fflush(stdout);
		child = fork();
		if (child == 0) {
			if (!freopen("/dev/null", "w", stderr))
				_exit(1);
			(void)read_text(bad[i], f);
			_exit(0);
		}
		CU_ASSERT(child > 0 && waitpid(child, &status, 0) == child);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != EX_USAGE)
			fprintf(stderr, "not refused: %s", bad[i]);
		CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == EX_USAGE);
	}
}

TESTING_MAIN("client/fence-arguments", {"words", words}, {"files", files}, {"mistakes", mistakes})
