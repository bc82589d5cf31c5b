import Basics
import Foundation
import Link
import Testing

@testable import Connector

@Suite(.timeLimit(.minutes(2)))
struct ProcessFailureTests {
  @Test("a missing program is named, in the availability too")
  func programMissing() async throws {
    try await ProcessScene.with { scene in
      let runtime = scene.runtime(program: scene.folder + "/nowhere/openclaw")
      let spec = try scene.spec()
      let failure = await #expect(throws: AWError.self) { try await runtime.prepare(spec, environment: [:]) }
      #expect(failure?.code == .runtimeProgramMissing)
      let availability = await runtime.availability()
      #expect(!availability.available && availability.detail.contains("nowhere/openclaw"))
      let there = await scene.runtime().availability()
      #expect(there.available && there.detail.contains("2026.7.1-2"))
    }
  }

  @Test("a program that vanishes after preparing fails the start, and nothing is left wanted")
  func programVanishes() async throws {
    try await ProcessScene.with { scene in
      let spec = try scene.spec()
      let runtime = scene.runtime()
      _ = try await runtime.prepare(spec, environment: scene.environment())
      try FileManager.default.removeItem(atPath: scene.program)
      let failure = await #expect(throws: AWError.self) { try await runtime.start(spec.instance) }
      #expect(failure?.code == .runtimeProgramMissing)
      #expect(try await runtime.inspect(spec.instance).phase == .stopped)
      #expect(try await scene.runtime().inspect(spec.instance).phase == .stopped)
    }
  }

  @Test("a taken port is refused: another Instance's by its name, a stranger's as a program's")
  func portTaken() async throws {
    try await ProcessScene.with { scene in
      let runtime = scene.runtime()
      let first = try scene.spec("first")
      let port = try #require(try await runtime.prepare(first, environment: [:]).port)
      #expect(port == scene.ports.lowerBound)
      let second = try #require(try await runtime.prepare(scene.spec("second"), environment: [:]).port)
      #expect(abs(second - port) >= 20)
      let failure = await #expect(throws: AWError.self) {
        try await runtime.prepare(scene.spec("third", port: port), environment: [:])
      }
      #expect(failure?.code == .runtimePortTaken && failure?.message.contains("'first'") == true)

      let (stranger, taken) = try listener()
      defer { close(stranger) }
      let other = await #expect(throws: AWError.self) {
        try await runtime.prepare(scene.spec("fourth", port: taken), environment: [:])
      }
      #expect(other?.code == .runtimePortTaken && other?.message.contains("\(taken)") == true)
    }
  }

  @Test("a port that was taken after preparing is told at the start")
  func portTakenLater() async throws {
    try await ProcessScene.with { scene in
      let runtime = scene.runtime()
      let (stranger, port) = try listener()
      close(stranger)
      let spec = try scene.spec(port: port)
      _ = try await runtime.prepare(spec, environment: [:])
      let (again, _) = try listener(port)
      defer { close(again) }
      let failure = await #expect(throws: AWError.self) { try await runtime.start(spec.instance) }
      #expect(failure?.code == .runtimePortTaken)
      #expect(try await runtime.inspect(spec.instance).phase == .stopped)
    }
  }

  private func listener(_ port: Int = 0) throws -> (descriptor: Int32, port: Int) {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var yes: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        bind(descriptor, address, size) == 0 && listen(descriptor, 1) == 0
          && getsockname(descriptor, address, &size) == 0
      }
    }
    try #require(result)
    return (descriptor, Int(UInt16(bigEndian: address.sin_port)))
  }

  @Test("another Instance's data is never taken over by a name")
  func foreignData() async throws {
    try await ProcessScene.with { scene in
      let runtime = scene.runtime()
      let first = try scene.spec()
      _ = try await runtime.prepare(first, environment: [:])
      _ = try await runtime.remove(first.instance, purge: false)
      let failure = await #expect(throws: AWError.self) { try await runtime.prepare(scene.spec(), environment: [:]) }
      #expect(failure?.code == .conflict)
      #expect(try await runtime.prepare(first, environment: [:]).phase == .stopped)
    }
  }

  @Test("what this Host does not know is unknown, not a crash")
  func unknown() async throws {
    try await ProcessScene.with { scene in
      let runtime = scene.runtime()
      let instance = InstanceID.make(at: WallClock.system.now)
      let start = await #expect(throws: AWError.self) { try await runtime.start(instance) }
      let stop = await #expect(throws: AWError.self) { try await runtime.stop(instance) }
      #expect(start?.code == .instanceUnknown && stop?.code == .instanceUnknown)
      let removed = try await runtime.remove(instance, purge: true)
      #expect(removed.phase == .absent)
    }
  }

  @Test(
    "a full disk is told apart, and preparing succeeds once there is room",
    .enabled(if: geteuid() == 0 || ProcessInfo.processInfo.environment["AW_TEST_REQUIRE_ALL"] == "1"))
  func diskFull() async throws {
    try await ProcessScene.with { scene in
      try FileManager.default.createDirectory(atPath: scene.data, withIntermediateDirectories: true)
      let mount = try #require(Tool.find("mount", path: nil))
      let unmount = try #require(Tool.find("umount", path: nil))
      let mounted = try await Tool.run(
        mount, ["-t", "tmpfs", "-o", "size=64k", "tmpfs", scene.data], environment: [:], timeMax: .seconds(20))
      try #require(mounted.code == 0)
      let filler = scene.data + "/filler"
      let descriptor = open(filler, O_WRONLY | O_CREAT, 0o600)
      try #require(descriptor >= 0)
      let page = [UInt8](repeating: 1, count: 4_096)
      while write(descriptor, page, page.count) > 0 {}
      close(descriptor)

      let runtime = scene.runtime()
      let spec = try scene.spec()
      let failure = await #expect(throws: AWError.self) { try await runtime.prepare(spec, environment: [:]) }
      #expect(failure?.code == .runtimeDiskFull)
      try FileManager.default.removeItem(atPath: filler)
      #expect(try await runtime.prepare(spec, environment: [:]).phase == .stopped)
      _ = try await runtime.remove(spec.instance, purge: true)
      let unmounted = try await Tool.run(unmount, [scene.data], environment: [:], timeMax: .seconds(20))
      #expect(unmounted.code == 0)
    }
  }

  @Test(
    "as root each Instance can run as a user of its own",
    .enabled(if: geteuid() == 0 || ProcessInfo.processInfo.environment["AW_TEST_REQUIRE_ALL"] == "1"))
  func ownUser() async throws {
    try await ProcessScene.with { scene in
      let runtime = scene.runtime(ownUser: true)
      let spec = try scene.spec()
      _ = try await runtime.prepare(spec, environment: scene.environment())
      let started = try await runtime.start(spec.instance)
      try await scene.bell.rung()
      let lines = try await runtime.logs(spec.instance, lines: 10)
      let user = try await InstanceUser(spec.instance).make()
      #expect(lines.contains("listening \(user.user)") && user.user != 0)
      #expect(started.phase == .running)
      let directory = InstanceDirectory(path: try #require(started.dataDirectory))
      #expect(DurableFile.owner(of: directory.state) == user)
      #expect(DurableFile.owner(of: directory.environment) == FileOwner(user: 0, group: 0))
      _ = try await runtime.remove(spec.instance, purge: true)
      #expect(getpwnam(InstanceUser(spec.instance).name) == nil)
    }
  }
}
