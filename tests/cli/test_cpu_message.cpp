#include <string>

#include "src/cli/cpu_message.hpp"
#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(cpu_message)

BOOST_AUTO_TEST_CASE(a_processor_that_is_too_old_gets_one_sentence_with_what_it_lacks_and_the_remedy) {
  const char* missing[] = {"avx2", "fma"};
  spar::cli::CpuText out;
  spar::cli::cpu_message(&out, "node7", "native", missing, 2);
  BOOST_TEST(std::string(out.text) ==
             "spar: error: the processor of node7 lacks avx2, fma, which this spar uses (built with SPAR_CPU=native): "
             "build it on this machine, or with -DSPAR_CPU=x86-64-v3\n");
  BOOST_TEST(std::string(out.text).size() == out.size);
}

BOOST_AUTO_TEST_CASE(a_sentence_that_does_not_fit_is_cut_not_overrun) {
  const std::string host(600, 'h');
  const char* missing[] = {"avx2"};
  spar::cli::CpuText out;
  spar::cli::cpu_message(&out, host.c_str(), "native", missing, 1);
  BOOST_TEST(out.size == sizeof out.text - 1);
  BOOST_TEST(out.text[out.size] == '\0');
}

BOOST_AUTO_TEST_SUITE_END()
