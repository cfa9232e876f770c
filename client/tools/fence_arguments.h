// A fence on the command line, and files of them: a line each, a number and then the words and
// options of a fence, as behind `presencectl watch`. Blanks separate words, quotes ' and " keep
// them together, # begins a comment. One thread.
#pragma once

#include "client/tools/query_arguments.h"
#include "client/watch.h"

#define FENCE_FILE_MAX  4096 // fences of a file
#define FENCE_WORDS_MAX 32   // of a line
#define FENCE_LINE_MAX  16384

// All zero at first, but `id`. The fence points into it: it stays where it is.
struct fence_arguments {
	struct query_arguments query;
	struct presence_fence fence;
};

// A child of a command's parser, whose input is a struct fence_arguments.
extern const struct argp fence_argp;

// Reads a file ("-": standard input) into malloc'd arguments. A mistake is said on stderr with its
// line, and ends the program as a mistake on the command line does. Returns how many; 0: the file
// cannot be read, or has none, which was said.
unsigned fence_file_read(const char *path, struct fence_arguments *fences[FENCE_FILE_MAX]);
// Cuts a line into words in place; −1: a quote that is not closed, or too many words.
int fence_line_words(char *line, char *words[FENCE_WORDS_MAX]);
