# SPDX-License-Identifier: Apache-2.0
#
# nginx's modules as Debian packages (preset deb), of the shape of Debian's own: libnginx-mod-http-milgi, in which the engine is,
# and libnginx-mod-stream-milgi behind it. They depend on the interface of the nginx that nginx-dev belongs to.
set(MILGI_NGINX OFF CACHE STRING "Packages of the modules for Debian's nginx: ON, OFF, or AUTO, where nginx-dev is")
set_property(CACHE MILGI_NGINX PROPERTY STRINGS AUTO ON OFF)
set(nginx_dev /usr/share/nginx/src)
set(MILGI_NGINX_PACKAGES)
if(NOT MILGI_NGINX)
  return()
elseif(NOT EXISTS ${nginx_dev}/conf_flags)
  if(NOT MILGI_NGINX STREQUAL "AUTO")
    message(FATAL_ERROR "MILGI_NGINX is ON, but there is no nginx-dev")
  endif()
  message(STATUS "no nginx-dev: no packages of the modules for nginx")
  return()
endif()

file(STRINGS ${nginx_dev}/debian/libnginx-mod.abisubstvars nginx_abi REGEX "^nginx:abi=")
string(REGEX REPLACE "^nginx:abi=" "" nginx_abi "${nginx_abi}")
if(NOT nginx_abi MATCHES "^nginx-abi-[-.0-9]+$")
  message(FATAL_ERROR "nginx-dev does not say which interface its nginx has")
endif()
set(nginx_out ${PROJECT_BINARY_DIR}/nginx)
# Whether something is to be made anew is known by nginx's make.
add_custom_target(milgi_nginx ALL COMMAND ${PROJECT_SOURCE_DIR}/adapters/nginx/build --milgi ${PROJECT_BINARY_DIR} ${nginx_out}
  COMMAND ${CMAKE_STRIP} --strip-unneeded ${nginx_out}/ngx_milgi_module.so ${nginx_out}/ngx_stream_milgi_module.so VERBATIM)
add_dependencies(milgi_nginx milgi_static)

function(milgi_nginx_package kind module priority needs summary)
  string(TOUPPER NGINX_${kind} id)
  set(package libnginx-mod-${kind}-milgi)
  set(name mod-${kind}-milgi)
  set(at ${nginx_out}/${kind})
  set(component nginx_${kind})
  set(link /etc/nginx/modules-enabled/${priority}-${name}.conf)
  set(conf /usr/share/nginx/modules-available/${name}.conf)
  file(WRITE ${at}/${name}.conf "load_module modules/${module}.so;\n")
  foreach(script postinst prerm postrm)
    configure_file(${PROJECT_SOURCE_DIR}/packaging/deb/nginx/${script} ${at}/${script} @ONLY)
    list(APPEND scripts ${at}/${script})
  endforeach()
  install(FILES ${nginx_out}/${module}.so DESTINATION lib/nginx/modules COMPONENT ${component})
  install(FILES ${at}/${name}.conf DESTINATION share/nginx/modules-available COMPONENT ${component})
  set(CPACK_DEBIAN_${id}_PACKAGE_NAME ${package} PARENT_SCOPE)
  set(CPACK_DEBIAN_${id}_PACKAGE_SECTION httpd PARENT_SCOPE)
  set(CPACK_DEBIAN_${id}_PACKAGE_DEPENDS "${nginx_abi}${needs}" PARENT_SCOPE)
  set(CPACK_DEBIAN_${id}_PACKAGE_RECOMMENDS nginx PARENT_SCOPE)
  set(CPACK_DEBIAN_${id}_PACKAGE_CONTROL_EXTRA ${scripts} PARENT_SCOPE)
  set(CPACK_COMPONENT_${id}_DESCRIPTION "${summary}" PARENT_SCOPE)
  set(MILGI_NGINX_PACKAGES ${MILGI_NGINX_PACKAGES} ${component} PARENT_SCOPE)
endfunction()

milgi_nginx_package(http ngx_milgi_module 50 "" "TLS by Milgi for nginx
 TLS of http servers whose handshakes hold up nobody: signatures and records may
 be made by threads, tokens and other devices.")
milgi_nginx_package(stream ngx_stream_milgi_module 70 ", libnginx-mod-http-milgi (= ${PROJECT_VERSION}), libnginx-mod-stream"
  "TLS by Milgi for nginx's stream servers
 TLS of stream servers whose handshakes hold up nobody: signatures and records
 may be made by threads, tokens and other devices.")
milgi_licences(libnginx-mod-http-milgi nginx_http)
install(FILES ${PROJECT_SOURCE_DIR}/adapters/nginx/README.md DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libnginx-mod-http-milgi
  COMPONENT nginx_http)
