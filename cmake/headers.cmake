# The target spar_headers compiles every header alone: each must include what it uses.
file(GLOB_RECURSE headers RELATIVE ${PROJECT_SOURCE_DIR} CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/*.hpp ${PROJECT_SOURCE_DIR}/src/*.hpp
  ${PROJECT_SOURCE_DIR}/data_tools/*.hpp)
set(header_sources "")
foreach(header ${headers})
  string(REPLACE "/" "." name ${header})
  set(source ${PROJECT_BINARY_DIR}/headers/${name}.cpp)
  file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${PROJECT_SOURCE_DIR}/${header}\"\n")
  list(APPEND header_sources ${source})
endforeach()
add_library(spar_headers OBJECT EXCLUDE_FROM_ALL ${header_sources})
target_link_libraries(spar_headers PRIVATE spar::cli)
target_compile_options(spar_headers PRIVATE -O0 -Wno-unused-function)
