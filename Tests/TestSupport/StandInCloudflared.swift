import Foundation

/// A program that takes cloudflared's place in tests: it reads the configuration and the credentials that it is given
/// as cloudflared does, says the same words, and carries bytes to the service of the first ingress rule.
///
/// What the real one does by way of Cloudflare's edge, this one does on a port of the loopback: `AccountTag` of the
/// credentials names it. A `TunnelSecret` of `wrong` is refused in cloudflared's words.
public struct StandInCloudflared: Sendable {
  public let program: String
  private let folder: String

  /// - Parameter folder: exists, and is removed by whoever made it.
  public init(in folder: String) throws {
    self.folder = folder
    program = folder + "/cloudflared"
    try Self.script.write(toFile: program, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: program)
  }

  /// The JSON that `cloudflared tunnel create` would write.
  public static func credentials(port: Int, secret: String) -> String {
    #"{"AccountTag":"\#(port)","TunnelSecret":"\#(secret)","TunnelID":"6ff42ae2-765d-4adf-8112-31c55c1551ef"}"#
  }

  private static let script = #"""
    #!/usr/bin/env python3
    import json, os, re, socket, sys, threading
    args = sys.argv[1:]
    assert args[:2] == ["tunnel", "--config"] and args[3:] == ["--no-autoupdate", "run"], args
    text = open(args[2]).read()
    value = lambda name: json.loads(re.search(r'(?m)^[ -]*' + name + r': (.*)$', text).group(1))
    path = value("credentials-file")
    for file in (args[2], path):
        assert os.stat(file).st_mode & 0o777 == 0o600, file
    credentials = json.load(open(path))
    def say(level, words):
        print("2026-01-01T00:00:00Z", level, words, file=sys.stderr, flush=True)
    say("INF", "Starting tunnel tunnelID=" + value("tunnel"))
    assert value("tunnel") == credentials["TunnelID"]
    if credentials["TunnelSecret"] == "wrong":
        say("ERR", 'Register tunnel error from server side error="Unauthorized: Invalid tunnel secret" connIndex=0')
        sys.exit(1)
    service = int(re.fullmatch(r"http://127\.0\.0\.1:([0-9]+)", value("service")).group(1))
    server = socket.create_server(("127.0.0.1", int(credentials["AccountTag"])))
    say("INF", "Registered tunnel connection connIndex=0 location=here protocol=test")
    def pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for one in (source, sink):
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
    def join(front):
        try:
            back = socket.create_connection(("127.0.0.1", service))
        except OSError:
            say("ERR", 'error="Unable to reach the origin service"')
            front.close()
            return
        threading.Thread(target=pump, args=(front, back), daemon=True).start()
        pump(back, front)
    while True:
        front, _ = server.accept()
        threading.Thread(target=join, args=(front,), daemon=True).start()
    """#
}
