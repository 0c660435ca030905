// uWebSockets itself as a peer: an echo, and rooms by its publish.
#include "App.h"

#include <cstdio>
#include <string>

struct Member {
    std::string room;
};

int main() {
    uWS::App app;
    auto options = [&app](bool rooms) {
        uWS::App::WebSocketBehavior<Member> behavior;
        behavior.compression = uWS::DISABLED;
        behavior.maxPayloadLength = 16 * 1024 * 1024;
        behavior.maxBackpressure = 64 * 1024 * 1024;
        behavior.upgrade = [](auto *response, auto *request, auto *context) {
            response->template upgrade<Member>({std::string(request->getQuery())},
                                               request->getHeader("sec-websocket-key"),
                                               request->getHeader("sec-websocket-protocol"),
                                               request->getHeader("sec-websocket-extensions"), context);
        };
        if (rooms) {
            behavior.open = [](auto *socket) { socket->subscribe(socket->getUserData()->room); };
            behavior.message = [&app](auto *socket, std::string_view message, uWS::OpCode opcode) {
                app.publish(socket->getUserData()->room, message, opcode);
            };
        } else {
            behavior.message = [](auto *socket, std::string_view message, uWS::OpCode opcode) {
                socket->send(message, opcode);
            };
        }
        return behavior;
    };
    app.ws<Member>("/echo", options(false)).ws<Member>("/ws/raw", options(true));
    app.listen("127.0.0.1", 0, [](auto *listener) {
        if (!listener) return;
        std::printf("listening on http://127.0.0.1:%d\n", us_socket_local_port(0, (us_socket_t *) listener));
        std::fflush(stdout);
    });
    app.run();
}
