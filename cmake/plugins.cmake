# SPDX-License-Identifier: Apache-2.0
# The bundled plugins, staged beside the program as they will be installed: build/<preset>/share/perigee/<kind>/<name>.
# A folder with a CMakeLists.txt adds its own shared object there (perigee_c_plugin).
set(PERIGEE_STAGE ${CMAKE_BINARY_DIR}/share/perigee)

function(perigee_c_plugin target)
  cmake_parse_arguments(P "" "KIND;NAME" "SOURCES" ${ARGN})
  add_library(${target} MODULE ${P_SOURCES})
  target_link_libraries(${target} PRIVATE perigee_flags)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/engine/include)
  set_target_properties(${target} PROPERTIES PREFIX "" OUTPUT_NAME ${P_NAME}
    LIBRARY_OUTPUT_DIRECTORY ${PERIGEE_STAGE}/${P_KIND}/${P_NAME})
  install(TARGETS ${target} LIBRARY DESTINATION ${CMAKE_INSTALL_DATADIR}/perigee/${P_KIND}/${P_NAME})
endfunction()

set(staged_stamps)
foreach(kind operators connectors channels)
  file(GLOB dirs CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${kind}/*)
  foreach(dir ${dirs})
    if(NOT IS_DIRECTORY ${dir})
      continue()
    endif()
    get_filename_component(name ${dir} NAME)
    file(GLOB_RECURSE files CONFIGURE_DEPENDS ${dir}/*.json ${dir}/*.lua ${dir}/README.md)
    set(stamp ${CMAKE_BINARY_DIR}/stage/${kind}-${name}.stamp)
    set(copies)
    foreach(file ${files})
      file(RELATIVE_PATH rel ${dir} ${file})
      list(APPEND copies COMMAND ${CMAKE_COMMAND} -E copy ${file} ${PERIGEE_STAGE}/${kind}/${name}/${rel})
      get_filename_component(rel_dir ${rel} DIRECTORY)
      install(FILES ${file} DESTINATION ${CMAKE_INSTALL_DATADIR}/perigee/${kind}/${name}/${rel_dir})
    endforeach()
    add_custom_command(OUTPUT ${stamp} ${copies} COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/stage
      COMMAND ${CMAKE_COMMAND} -E touch ${stamp} DEPENDS ${files} COMMENT "staging ${kind}/${name}")
    list(APPEND staged_stamps ${stamp})
    if(EXISTS ${dir}/CMakeLists.txt)
      add_subdirectory(${dir})
    endif()
  endforeach()
endforeach()
# Folders that lie beside them as they are: lua/perigee (what plugins may require), lua/testkit (fakes for their specs), lua/types (for
# editors), templates (of `perigee plugins new`).
foreach(folder lua/perigee lua/testkit lua/types templates)
  file(GLOB_RECURSE files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*)
  string(REPLACE "/" "-" short ${folder})
  set(stamp ${CMAKE_BINARY_DIR}/stage/${short}.stamp)
  add_custom_command(OUTPUT ${stamp} COMMAND ${CMAKE_COMMAND} -E rm -rf ${PERIGEE_STAGE}/${folder}
    COMMAND ${CMAKE_COMMAND} -E copy_directory ${PROJECT_SOURCE_DIR}/${folder} ${PERIGEE_STAGE}/${folder}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/stage
    COMMAND ${CMAKE_COMMAND} -E touch ${stamp} DEPENDS ${files} VERBATIM COMMENT "staging ${folder}")
  list(APPEND staged_stamps ${stamp})
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${folder}/ DESTINATION ${CMAKE_INSTALL_DATADIR}/perigee/${folder})
endforeach()
# What C plugins are built with.
configure_file(${PROJECT_SOURCE_DIR}/engine/include/perigee/plugin.h ${CMAKE_BINARY_DIR}/include/perigee/plugin.h COPYONLY)
configure_file(${PROJECT_SOURCE_DIR}/cmake/perigee.pc.in ${CMAKE_BINARY_DIR}/share/pkgconfig/perigee.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/share/pkgconfig/perigee.pc DESTINATION ${CMAKE_INSTALL_DATADIR}/pkgconfig)
if(EXISTS ${PROJECT_SOURCE_DIR}/operators/policy.yaml)
  configure_file(${PROJECT_SOURCE_DIR}/operators/policy.yaml ${PERIGEE_STAGE}/policy.yaml COPYONLY)
  install(FILES ${PROJECT_SOURCE_DIR}/operators/policy.yaml DESTINATION ${CMAKE_INSTALL_DATADIR}/perigee)
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/rules DESTINATION ${CMAKE_INSTALL_DATADIR}/perigee)
add_custom_target(stage_plugins ALL DEPENDS ${staged_stamps})
