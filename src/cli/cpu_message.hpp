#pragma once
#include <stddef.h>
#include <string.h>

/// Plain C-like code with internal linkage: it runs before anything else, on processors for which the rest of the
/// program is illegal, so no function of a library that may be compiled for a newer processor is called.
namespace spar::cli {

struct CpuText {
  char text[512];
  size_t size;
};

static inline void append_text(CpuText* out, const char* piece) {
  while (*piece != '\0' && out->size + 1 < sizeof out->text) out->text[out->size++] = *piece++;
  out->text[out->size] = '\0';
}

/// "spar: error: HOST lacks avx2, fma, for which spar was built (SPAR_CPU=native): ...", cut where it would not fit.
static inline void cpu_message(CpuText* out, const char* host, const char* build, const char* const* missing,
                               int count) {
  out->size = 0;
  append_text(out, "spar: error: the processor of ");
  append_text(out, host);
  append_text(out, " lacks ");
  for (int k = 0; k < count; ++k) {
    if (k > 0) append_text(out, ", ");
    append_text(out, missing[k]);
  }
  append_text(out, ", which this spar uses (built with SPAR_CPU=");
  append_text(out, build);
  append_text(out, "): build it on this machine, or with -DSPAR_CPU=x86-64-v3\n");
}

}  // namespace spar::cli
