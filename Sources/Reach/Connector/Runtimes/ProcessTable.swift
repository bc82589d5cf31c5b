import Foundation

/// The kernel's processes, as `/proc` shows them.
enum ProcessTable {
  struct Entry: Sendable, Equatable {
    var id: Int32
    var state: Character
    var parent: Int32
    var group: Int32
    var session: Int32
    /// Clock ticks from boot to the start of the process: field 22 of `/proc/PID/stat`.
    var startTicks: UInt64

    /// Ended, and waits only to be noticed by its parent.
    var isDead: Bool { state == "Z" || state == "X" }
  }

  static func bootID() -> String? {
    (try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8))?
      .trimmingCharacters(in: .whitespacesAndNewlines)
  }

  static func entry(_ id: Int32) -> Entry? {
    guard let text = try? String(contentsOfFile: "/proc/\(id)/stat", encoding: .utf8) else { return nil }
    return parse(text)
  }

  /// Reads one line of `/proc/PID/stat`; the name in it may hold spaces and parentheses itself.
  static func parse(_ text: String) -> Entry? {
    guard let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")"),
      let id = Int32(text[..<open].trimmingCharacters(in: .whitespaces))
    else { return nil }
    let fields = text[text.index(after: close)...].split(whereSeparator: \.isWhitespace)
    guard fields.count > 19, let state = fields[0].first, let parent = Int32(fields[1]), let group = Int32(fields[2]),
      let session = Int32(fields[3]), let ticks = UInt64(fields[19])
    else { return nil }
    return Entry(id: id, state: state, parent: parent, group: group, session: session, startTicks: ticks)
  }

  /// The live process with this id and start, nil when it has ended (whoever has its id now).
  static func live(_ id: Int32, startTicks: UInt64) -> Entry? {
    guard let entry = entry(id), entry.startTicks == startTicks, !entry.isDead else { return nil }
    return entry
  }

  static func all() -> [Entry] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return names.compactMap { Int32($0) }.compactMap { entry($0) }
  }

  /// The variables a process was started with; nil when it is gone or belongs to another user.
  static func environment(_ id: Int32) -> [String: String]? {
    guard let data = FileManager.default.contents(atPath: "/proc/\(id)/environ") else { return nil }
    var values: [String: String] = [:]
    for pair in data.split(separator: 0) {
      guard let equals = pair.firstIndex(of: UInt8(ascii: "=")) else { continue }
      values[String(decoding: pair[..<equals], as: UTF8.self)] = String(
        decoding: pair[pair.index(after: equals)...], as: UTF8.self)
    }
    return values
  }

  /// How long a process that started at these ticks has been there; sleep of the machine counts.
  static func age(startTicks: UInt64) -> Duration {
    var now = timespec()
    guard clock_gettime(CLOCK_BOOTTIME, &now) == 0 else { return .zero }
    let perSecond = max(1, Int64(sysconf(Int32(_SC_CLK_TCK))))
    let started = Int64(startTicks) * 1_000 / perSecond
    return .milliseconds(max(0, Int64(now.tv_sec) * 1_000 + Int64(now.tv_nsec) / 1_000_000 - started))
  }
}

/// Calls of the C library that Swift's Glibc module does not show. Each is nil where the library lacks it.
enum LinuxCalls {
  typealias PidfdOpen = @convention(c) (pid_t, UInt32) -> Int32
  typealias AddChdir = @convention(c) (UnsafeMutableRawPointer, UnsafePointer<CChar>) -> Int32
  typealias AddCloseFrom = @convention(c) (UnsafeMutableRawPointer, Int32) -> Int32

  static let pidfdOpen = find("pidfd_open", as: PidfdOpen.self)
  static let addChdir = find("posix_spawn_file_actions_addchdir_np", as: AddChdir.self)
  static let addCloseFrom = find("posix_spawn_file_actions_addclosefrom_np", as: AddCloseFrom.self)

  private static func find<Function>(_ name: String, as type: Function.Type) -> Function? {
    guard let library = dlopen(nil, RTLD_NOW), let address = dlsym(library, name) else { return nil }
    return unsafeBitCast(address, to: type)
  }
}
