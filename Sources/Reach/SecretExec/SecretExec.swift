import Glibc

/// What OpenClaw runs to resolve secrets through AW: carries one request of its exec protocol from standard input to
/// the socket of the Instance on its Host, and the reply back to standard output. One batch, one round trip.
///
/// It decides nothing: the Connector reads and answers the protocol. It stands on the C library alone, so that it can
/// be linked statically, starts within a few milliseconds, and runs in any container.
public enum SecretExec {
  /// OpenClaw gives a provider 5 s. Whatever hangs, this program ends before.
  static let microsecondsMax: suseconds_t = 800_000
  static let secondsMax: time_t = 3
  /// Linux's O_PATH, which the C library names for GNU programs only: the directory need not be readable.
  private static let pathOnly: Int32 = 0o10_000_000
  /// OpenClaw reads as many bytes of output at most.
  public static let replyBytesMax = 1 << 20

  /// What the first byte of a reply says. The rest goes to standard output, or as an explanation to standard error.
  public enum Mark {
    public static let answered: UInt8 = 0x30
    public static let refused: UInt8 = 0x31
  }

  private struct Failure: Error {
    let text: String
    init(_ text: String) { self.text = text }
    init(_ what: String, code: Int32) { text = "\(what): \(String(cString: strerror(code)))" }
  }

  /// - Parameter arguments: `--socket PATH`, with or without the verb `secret-exec` before it.
  /// - Returns: the exit code. 0: there is a reply. 1: there is none, and standard error says why. 2: usage.
  public static func run(_ arguments: [String]) -> Int32 {
    let options = arguments.first == "secret-exec" ? Array(arguments.dropFirst()) : arguments
    guard options.count == 2, options[0] == "--socket", !options[1].isEmpty else {
      complain("usage: secret-exec --socket PATH, with a request of OpenClaw's exec protocol on standard input")
      return 2
    }
    endInTime()
    // A reader that is gone shows as an error of the write.
    signal(SIGPIPE, SIG_IGN)
    do {
      let request = try readAll(0, limit: replyBytesMax, what: "standard input")
      let connection = try connect(to: options[1])
      defer { close(connection) }
      try writeAll(connection, request[...], what: "AW's socket")
      guard shutdown(connection, Int32(SHUT_WR)) == 0 else { throw Failure("AW's socket", code: errno) }
      let reply = try readAll(connection, limit: replyBytesMax + 1, what: "AW's socket")
      switch reply.first {
      case Mark.answered:
        try writeAll(1, reply[1...], what: "standard output")
        return 0
      case Mark.refused: throw Failure(String(decoding: reply[1...], as: UTF8.self))
      default: throw Failure("The Connector ended the connection without a reply.")
      }
    } catch let failure as Failure {
      complain(failure.text)
    } catch {
      complain("unexpected failure")
    }
    return 1
  }

  private static func complain(_ text: String) {
    let line = Array(("secret-exec: " + text + "\n").utf8)
    _ = line.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
  }

  private static func endInTime() {
    signal(SIGALRM) { _ in
      let words: StaticString = "secret-exec: no reply from AW within 3.8 s\n"
      _ = write(2, words.utf8Start, words.utf8CodeUnitCount)
      _exit(1)
    }
    var timer = itimerval()
    timer.it_value = timeval(tv_sec: secondsMax, tv_usec: microsecondsMax)
    setitimer(__itimer_which_t(ITIMER_REAL.rawValue), &timer, nil)
  }

  /// A path that is too long for an address of a socket is reached through its directory.
  private static func connect(to path: String) throws -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let room = MemoryLayout.size(ofValue: address.sun_path) - 1
    var name = path
    if path.utf8.count > room, let slash = path.lastIndex(of: "/") {
      let directory = open(String(path[..<slash]), pathOnly | O_DIRECTORY | O_CLOEXEC)
      guard directory >= 0 else { throw Failure("AW's socket \(path)", code: errno) }
      name = "/proc/self/fd/\(directory)" + path[slash...]
    }
    guard name.utf8.count <= room else { throw Failure("The path of AW's socket is too long: \(path)") }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(name.utf8)) }
    let connection = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard connection >= 0 else { throw Failure("AW's socket", code: errno) }
    let size = socklen_t(MemoryLayout<sockaddr_un>.size)
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(connection, $0, size) }
    }
    guard result == 0 else {
      let code = errno
      close(connection)
      throw Failure("AW's Connector does not answer at \(path)", code: code)
    }
    return connection
  }

  private static func readAll(_ descriptor: Int32, limit: Int, what: String) throws -> [UInt8] {
    var bytes: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = read(descriptor, &part, part.count)
      if count == 0 { return bytes }
      if count < 0 {
        if errno == EINTR { continue }
        throw Failure(what, code: errno)
      }
      bytes += part[..<count]
      guard bytes.count <= limit else { throw Failure("\(what) has more than \(limit) bytes") }
    }
  }

  private static func writeAll(_ descriptor: Int32, _ bytes: ArraySlice<UInt8>, what: String) throws {
    var left = bytes
    while !left.isEmpty {
      let count = left.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      if count < 0 {
        if errno == EINTR { continue }
        throw Failure(what, code: errno)
      }
      left = left.dropFirst(count)
    }
  }
}
