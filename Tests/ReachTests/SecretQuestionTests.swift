import Basics
import Foundation
import Link
import Logging
import NIOConcurrencyHelpers
import Testing

@testable import Connector
@testable import Gateway

@Suite("Questions for secrets on a link", .timeLimit(.minutes(1)))
struct SecretQuestionTests {
  @Test("a question goes over the control stream, and its answer comes on a stream of its own")
  func roundTrip() async throws {
    let scene = try await LinkScene()
    let state = try await scene.enrol()
    let directory = scene.directory + "/host-1"
    let broker = SecretBroker(
      directory: directory, key: try state.key.secret, clock: scene.clock, logger: Logger(label: "broker"))
    let large = String(repeating: "v", count: 300_000)
    scene.delegate.secrets.withLockedValue {
      $0 = { .init(number: $0.number, values: ["a": Secret(large), "unasked": Secret("x")], absent: ["b"]) }
    }
    let connector = Running(
      try Connector(
        configuration: .init(directory: directory, program: "test", connections: 1, spacing: 0...0),
        runtimes: Runtimes([], secrets: broker, logger: Logger(label: "runtimes")), clock: scene.clock,
        logger: Logger(label: "connector")))
    _ = await scene.delegate.nextHello()
    // REGISTERED is on its way: until it is here, nobody can be asked.
    var outcomes: [String: SecretOutcome] = [:]
    let instance = InstanceID.make(at: scene.clock.now)
    repeat {
      outcomes = await broker.resolve(["a", "b"], for: instance, of: try Slug("acme"))
      await Task.yield()
    } while outcomes["a"]?.code == "UNAVAILABLE"
    guard case .value(let value)? = outcomes["a"] else {
      Issue.record("\(String(describing: outcomes["a"]))")
      return
    }
    #expect(value.withText { $0 == large } && outcomes["b"]?.code == "NOT_FOUND")
    await connector.end()
    #expect(await broker.resolve(["c"], for: instance, of: try Slug("acme"))["c"]?.code == "UNAVAILABLE")
    await scene.close()
  }
}
