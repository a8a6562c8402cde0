# Compiler options that every target shares.
add_library(spar_options INTERFACE)
target_include_directories(spar_options INTERFACE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/generated)
target_include_directories(spar_options SYSTEM INTERFACE ${RANDOM123_INCLUDE} ${XXHASH_INCLUDE})
target_compile_definitions(spar_options INTERFACE OMPI_SKIP_MPICXX=1 EIGEN_MPL2_ONLY EIGEN_DONT_PARALLELIZE XXH_INLINE_ALL SPAR_VERSION="${PROJECT_VERSION}")
target_compile_options(spar_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Wno-psabi -Werror
  # gcc 12 reports its own AVX-512 headers.
  -Wno-maybe-uninitialized
  # One rule for contraction everywhere: the bits of a formula must not depend on the file that holds it.
  -ffp-contract=fast)
target_compile_options(spar_options INTERFACE -march=${SPAR_CPU} $<$<CONFIG:Release>:-O3> $<$<CONFIG:Debug>:-O0>)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  # GCC 12 sees overlapping copies inside its own std::string (bug 105329).
  target_compile_options(spar_options INTERFACE -Wno-restrict)
  target_compile_options(spar_options INTERFACE $<$<CONFIG:Release>:-mprefer-vector-width=512>)
endif()
if(SPAR_SANITIZE)
  target_compile_options(spar_options INTERFACE -fsanitize=${SPAR_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(spar_options INTERFACE -fsanitize=${SPAR_SANITIZE})
endif()

# The instruction sets that the chosen processor adds, asked of the compiler itself, for the check at start-up (src/cli/cpu_check.cpp).
execute_process(COMMAND ${CMAKE_CXX_COMPILER} -march=${SPAR_CPU} -dM -E -x c++ /dev/null OUTPUT_VARIABLE macros RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "SPAR_CPU=${SPAR_CPU} is not known to ${CMAKE_CXX_COMPILER}: use native, x86-64-v3 or x86-64-v4")
endif()
set(needed "")
foreach(feature avx avx2 fma bmi bmi2 avx512f avx512bw avx512dq avx512vl avx512cd)
  string(TOUPPER ${feature} macro)
  if(macros MATCHES "#define __${macro}__ 1")
    string(APPEND needed "SPAR_CPU_FEATURE(\"${feature}\")\n")
  endif()
endforeach()
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/generated/spar_cpu_features.inc CONTENT "${needed}")
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/generated/spar_build.hpp CONTENT "#pragma once\n#define SPAR_BUILD_CPU \"${SPAR_CPU}\"\n")
