import Basics
import Foundation
import Link
import NIOCore
import Testing

@testable import Connector
@testable import Gateway

@Suite("A Host with thousands of Instances", .timeLimit(.minutes(1)))
struct CrowdTests {
  @Test("its heartbeats and hundreds of calls at once share one link, and each call is answered")
  func crowd() async throws {
    let scene = try await LinkScene()
    let state = try await scene.enrol()
    let runtime = CrowdRuntime(count: 10_000)
    let connector = try scene.connector(runtime, probe: { _ in .live })
    _ = await scene.delegate.nextHello()
    for _ in 0..<20 {
      try await withThrowingTaskGroup(of: Void.self) { group in
        for instance in runtime.ids.prefix(250) {
          group.addTask {
            let reply = try await scene.gateway.call(
              .inspect(.process, instance), on: state.host, deadline: .seconds(10))
            guard case .state(let state) = reply else { throw ChannelError.eof }
            #expect(state.phase == .running)
          }
        }
        try await group.waitForAll()
      }
    }
    await connector.cancel()
    await scene.close()
  }
}

/// Many Instances that all run.
private struct CrowdRuntime: InstanceRuntime {
  let kind = RuntimeKind.process
  let ids: [InstanceID]
  private let state = RunState(phase: .running, port: 1)

  init(count: Int) { ids = (0..<count).map { _ in InstanceID.make(at: Timestamp(.now)) } }

  func availability() async -> RuntimeAvailability { .init(kind: .process, available: true, detail: "a crowd") }
  func prepare(_ spec: InstanceSpec, environment: [String: Secret]) async throws -> RunState { state }
  func start(_ instance: InstanceID) async throws -> RunState { state }
  func stop(_ instance: InstanceID) async throws -> RunState { state }
  func inspect(_ instance: InstanceID) async throws -> RunState { state }
  func remove(_ instance: InstanceID, purge: Bool) async throws -> RunState { state }
  func logs(_ instance: InstanceID, lines: Int) async throws -> [String] { [] }
  func approveDevice(_ instance: InstanceID, request: String) async throws {}
  func instances() async throws -> [InstanceID] { ids }
  func states() async throws -> [InstanceID: RunState] {
    Dictionary(uniqueKeysWithValues: ids.map { ($0, state) })
  }
}
