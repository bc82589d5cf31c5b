import Basics
import Foundation
import Link
import Testing

@testable import Connector

struct SupervisorTests {
  private let policy = RuntimePolicy.standard

  private func machine(_ events: [Supervisor.Event]) -> Supervisor {
    var machine = Supervisor()
    for event in events { _ = machine.handle(event, policy: policy) }
    return machine
  }

  struct Row: Sendable, CustomStringConvertible {
    var before: [Supervisor.Event]
    var event: Supervisor.Event
    var state: Supervisor.State
    var action: Supervisor.Action
    var description: String { "\(before) + \(event)" }
  }

  static let crash = Supervisor.Event.exited(code: 1, ranFor: .seconds(1))
  static let refusal = Supervisor.Event.exited(code: 78, ranFor: .seconds(1))
  static let rows: [Row] = [
    Row(before: [], event: .startRequested, state: .starting(requested: true), action: .launch),
    Row(before: [], event: .stopRequested, state: .stopped, action: .none),
    Row(before: [], event: .adopted, state: .running, action: .none),
    Row(before: [], event: .backoffElapsed, state: .stopped, action: .none),
    Row(before: [.startRequested], event: .startRequested, state: .starting(requested: true), action: .none),
    Row(before: [.startRequested], event: .started, state: .running, action: .none),
    Row(before: [.startRequested], event: .launchFailed, state: .stopped, action: .none),
    Row(before: [.startRequested], event: .stopRequested, state: .cancelling, action: .none),
    Row(before: [.startRequested, .stopRequested], event: .started, state: .stopping, action: .terminate),
    Row(before: [.startRequested, .stopRequested], event: .launchFailed, state: .stopped, action: .none),
    Row(
      before: [.startRequested, .stopRequested], event: .startRequested, state: .starting(requested: true),
      action: .none),
    Row(before: [.startRequested, .started], event: .startRequested, state: .running, action: .none),
    Row(before: [.startRequested, .started], event: .stopRequested, state: .stopping, action: .terminate),
    Row(before: [.startRequested, .started], event: crash, state: .waiting, action: .retry(after: .seconds(1))),
    Row(
      before: [.startRequested, .started], event: .exited(code: 0, ranFor: .seconds(1)), state: .waiting,
      action: .retry(after: .seconds(1))),
    Row(
      before: [.startRequested, .started], event: .exited(code: nil, ranFor: .seconds(1)), state: .waiting,
      action: .retry(after: .seconds(1))),
    Row(before: [.startRequested, .started], event: refusal, state: .held, action: .none),
    Row(before: [.startRequested, .started, refusal], event: .backoffElapsed, state: .held, action: .none),
    Row(
      before: [.startRequested, .started, refusal], event: .startRequested, state: .starting(requested: true),
      action: .launch),
    Row(before: [.startRequested, .started, refusal], event: .stopRequested, state: .stopped, action: .none),
    Row(
      before: [.startRequested, .started, crash], event: .backoffElapsed, state: .starting(requested: false),
      action: .launch),
    Row(before: [.startRequested, .started, crash], event: .stopRequested, state: .stopped, action: .none),
    Row(
      before: [.startRequested, .started, crash, .stopRequested], event: .backoffElapsed, state: .stopped,
      action: .none),
    Row(
      before: [.startRequested, .started, crash, .backoffElapsed], event: .launchFailed, state: .waiting,
      action: .retry(after: .seconds(2))),
    Row(before: [.startRequested, .started, .stopRequested], event: .graceElapsed, state: .stopping, action: .kill),
    Row(before: [.startRequested, .started, .stopRequested], event: crash, state: .stopped, action: .none),
    Row(before: [.startRequested, .started, .stopRequested], event: refusal, state: .stopped, action: .none),
    Row(
      before: [.startRequested, .started, .stopRequested, .startRequested], event: crash,
      state: .starting(requested: false), action: .launch),
    Row(before: [.startRequested, .started], event: .graceElapsed, state: .running, action: .none),
    Row(before: [.adopted], event: crash, state: .stopped, action: .none),
  ]

  @Test("each event in each state has one answer", arguments: rows)
  func transitions(row: Row) {
    var machine = machine(row.before)
    #expect(machine.handle(row.event, policy: policy) == row.action)
    #expect(machine.state == row.state)
  }

  @Test("the back-off doubles from 1 s to 60 s")
  func backoff() {
    var machine = machine([.startRequested, .started])
    var delays: [Duration] = []
    for _ in 0..<8 {
      if case .retry(let delay) = machine.handle(Self.crash, policy: policy) { delays.append(delay) }
      _ = machine.handle(.backoffElapsed, policy: policy)
      _ = machine.handle(.started, policy: policy)
    }
    #expect(delays == [1, 2, 4, 8, 16, 32, 60, 60].map { .seconds($0) })
  }

  @Test("a healthy minute forgets earlier crashes")
  func healthy() {
    var machine = machine([.startRequested, .started, Self.crash, .backoffElapsed, .started, Self.crash])
    _ = machine.handle(.backoffElapsed, policy: policy)
    _ = machine.handle(.started, policy: policy)
    #expect(machine.handle(.exited(code: 1, ranFor: .seconds(60)), policy: policy) == .retry(after: .seconds(1)))
  }

  @Test(
    "a new Connector takes up what it finds",
    arguments: [
      (true, true, nil, Supervisor.State.running, Supervisor.Action.none),
      (true, true, 78, .running, .none),
      (false, true, nil, .stopping, .terminate),
      (true, false, nil, .starting(requested: false), .launch),
      (true, false, 1, .starting(requested: false), .launch),
      (true, false, 78, .held, .none),
      (false, false, 1, .stopped, .none),
    ] as [(Bool, Bool, Int32?, Supervisor.State, Supervisor.Action)])
  func resuming(wanted: Bool, running: Bool, code: Int32?, state: Supervisor.State, action: Supervisor.Action) {
    let result = Supervisor.resuming(wanted: wanted, running: running, lastCode: code)
    #expect(result.supervisor.state == state)
    #expect(result.action == action)
  }
}

struct PortTests {
  private let range = RuntimePolicy.standard.ports

  @Test("ports start at 19100 and stand 20 apart")
  func spaced() {
    #expect(PortAllocator.choose(in: range, taken: []) { _ in true } == 19_100)
    #expect(PortAllocator.choose(in: range, taken: [19_100]) { _ in true } == 19_120)
    #expect(PortAllocator.choose(in: range, taken: [19_110]) { _ in true } == 19_140)
    #expect(PortAllocator.choose(in: range, taken: [19_100, 19_140]) { $0 != 19_120 } == 19_160)
    #expect(PortAllocator.choose(in: range, taken: []) { _ in false } == nil)
  }

  @Test("a port that is taken is refused by name, the chosen one is kept, a lost one is replaced")
  func settled() throws {
    #expect(try PortAllocator.settle(in: range, wanted: nil, kept: 19_160, others: [:]) { _ in true } == 19_160)
    #expect(try PortAllocator.settle(in: range, wanted: nil, kept: 19_160, others: [:]) { $0 != 19_160 } == 19_100)
    #expect(try PortAllocator.settle(in: range, wanted: 8_080, kept: nil, others: [:]) { _ in true } == 8_080)
    let ours = #expect(throws: AWError.self) {
      try PortAllocator.settle(in: range, wanted: 8_080, kept: nil, others: [8_080: "other-main"]) { _ in true }
    }
    #expect(ours?.code == .runtimePortTaken)
    #expect(ours?.message.contains("8080") == true && ours?.message.contains("other-main") == true)
    let foreign = #expect(throws: AWError.self) {
      try PortAllocator.settle(in: range, wanted: 8_080, kept: nil, others: [:]) { _ in false }
    }
    #expect(foreign?.code == .runtimePortTaken)
    let none = #expect(throws: AWError.self) {
      try PortAllocator.settle(in: range, wanted: nil, kept: nil, others: [:]) { _ in false }
    }
    #expect(none?.code == .runtimePortTaken)
  }
}

struct DirectoryTests {
  @Test("openclaw.json is written when missing or still AW's own")
  func configuration() {
    #expect(ConfigurationDecision.decide(found: nil, recorded: "a", wanted: "b") == .write("b"))
    #expect(ConfigurationDecision.decide(found: "a", recorded: "a", wanted: "b") == .write("b"))
    #expect(ConfigurationDecision.decide(found: "x", recorded: "a", wanted: "b") == .keep("a"))
    #expect(ConfigurationDecision.decide(found: "x", recorded: nil, wanted: "b") == .keep(nil))
    #expect(ConfigurationDecision.decide(found: "b", recorded: "a", wanted: "b") == .keep("b"))
  }

  @Test("a configuration has drifted when it is neither what AW wrote nor what was there when AW asked for a start")
  func drift() throws {
    var record = InstanceRecord(
      spec: InstanceSpec(
        instance: .make(at: WallClock.system.now), slug: try Slug("acme-main"), org: try Slug("acme"),
        runtime: .process, port: nil, image: nil, configuration: "{}"), port: 19_100)
    #expect(!record.hasDrifted(found: "x"), "an older Connector accepted nothing yet")
    record.configurationDigest = "written"
    record.acceptedConfiguration = "accepted"
    #expect(!record.hasDrifted(found: "written") && !record.hasDrifted(found: "accepted"))
    #expect(record.hasDrifted(found: "x") && record.hasDrifted(found: nil))
  }

  @Test("what is pinned is set in a file that is somebody else's, and the rest of it stays")
  func pinned() throws {
    let pinned: [String: JSONValue] = ["tools.exec.security": "deny", "tools.deny": ["a"], "hooks.enabled": false]
    let theirs = Array(
      """
      { // by hand
        tools: { exec: { security: "full", ask: "off" }, deny: ["a"] }, channels: { irc: { nick: "x" } },
        hooks: true,
      }
      """.utf8)
    #expect(PinnedConfiguration.departures(theirs, pinned) == ["hooks.enabled", "tools.exec.security"])
    let mended = Array(try #require(PinnedConfiguration.mended(theirs, pinned)).utf8)
    #expect(
      try JSONValue(parsing: mended) == [
        "tools": ["exec": ["security": "deny", "ask": "off"], "deny": ["a"]], "channels": ["irc": ["nick": "x"]],
        "hooks": ["enabled": false],
      ])
    #expect(PinnedConfiguration.departures(mended, pinned).isEmpty)
    #expect(PinnedConfiguration.mended(mended, pinned) == nil)
    for bytes in [[], Array("{".utf8), Array("[]".utf8)] as [[UInt8]] {
      #expect(PinnedConfiguration.mended(bytes, pinned) == nil)
    }
    #expect(PinnedConfiguration.departures(theirs, [:]).isEmpty)
  }

  @Test("an engine that maps users says so, and then its containers cannot ask at a socket")
  func mapsUsers() {
    for (options, maps) in [
      (["name=seccomp,profile=builtin", "name=cgroupns"], false), (["name=seccomp", "name=userns"], true),
      (["name=rootless"], true), ([], false),
    ] as [([String], Bool)] {
      #expect(DockerEngine.mapsUsers(["SecurityOptions": .array(options.map { .string($0) })]) == maps, "\(options)")
    }
    #expect(!DockerEngine.mapsUsers([:]))
  }

  @Test("every value of an environment survives its file")
  func environment() {
    let values = ["A": "plain", "B": "two\nlines\r\n", "C": #"back\slash\n"#, "D": "", "E": "x=y # z", "F": "ü"]
    let text = EnvironmentFile.text(values.mapValues { Secret($0) })
    #expect(text.split(separator: "\n").count == values.count)
    #expect(EnvironmentFile.values(text).mapValues { $0.withText { $0 } } == values)
  }

  @Test("names and values that no environment holds are refused", arguments: ["", "1A", "A-B", "A=B", "A\nB"])
  func badNames(name: String) {
    #expect(throws: AWError.self) { try EnvironmentFile.check([name: Secret("x")]) }
    #expect(throws: AWError.self) { try EnvironmentFile.check(["A": Secret("a\0b")]) }
  }

  @Test("secrets are blotted out of output, words are not")
  func redaction() {
    let redaction = Redaction(["T": Secret("0123456789abcdef"), "TZ": Secret("UTC")])
    #expect(redaction.apply("UTC token=0123456789abcdef.") == "UTC token=<secret>.")
  }

  @Test("a stat line is read whatever the program's name")
  func stat() {
    let line = "42 (a) b (c) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 2 3"
    let expected = ProcessTable.Entry(id: 42, state: "S", parent: 1, group: 42, session: 42, startTicks: 987_654)
    #expect(ProcessTable.parse(line) == expected)
    #expect(ProcessTable.parse("42 (a") == nil)
    #expect(ProcessTable.entry(getpid())?.id == getpid())
  }

  @Test("exit codes are those of shells", arguments: [(0, 0), (78 << 8, 78), (9, 137), (15, 143)])
  func exitCodes(status: Int32, code: Int32) { #expect(Spawn.exitCode(status) == code) }

  @Test("the log's tail goes on into the log before it, and a log past its limit is moved there")
  func tail() throws {
    let folder = NSTemporaryDirectory() + "aw-log-" + Hex.encode([UInt8].random(count: 6))
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let log = folder + "/output.log"
    #expect(try OutputLog.tail(log, lines: 5).isEmpty)
    try "one\ntwo\n".write(toFile: log, atomically: true, encoding: .utf8)
    try OutputLog.rotate(log, bytesMax: 100)
    #expect(try OutputLog.tail(log, lines: 5) == ["one", "two"])
    try OutputLog.rotate(log, bytesMax: 4)
    #expect(try DurableFile.read(log)?.isEmpty == true)
    try "three\r\nfour".write(toFile: log, atomically: true, encoding: .utf8)
    #expect(try OutputLog.tail(log, lines: 3) == ["two", "three", "four"])
    #expect(try OutputLog.tail(log, lines: 5, bytesMax: 6) == ["four"])
  }

  @Test("a file is replaced whole, with its mode, and never through a symbolic link")
  func durable() throws {
    let folder = NSTemporaryDirectory() + "aw-file-" + Hex.encode([UInt8].random(count: 6))
    try DurableFile.makeDirectory(folder, mode: 0o700)
    try DurableFile.makeDirectory(folder, mode: 0o700)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try DurableFile.write([1, 2], to: folder + "/a")
    try DurableFile.write([3], to: folder + "/a")
    #expect(try DurableFile.read(folder + "/a") == [3])
    let mode = try FileManager.default.attributesOfItem(atPath: folder + "/a")[.posixPermissions] as? Int
    #expect(mode == 0o600)
    #expect(try DurableFile.read(folder + "/b") == nil)
    try FileManager.default.createSymbolicLink(atPath: folder + "/c.new", withDestinationPath: folder + "/a")
    #expect(throws: AWError.self) { try DurableFile.write([9], to: folder + "/c") }
    #expect(try DurableFile.read(folder + "/a") == [3])
  }
}
