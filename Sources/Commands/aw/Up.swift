import ArgumentParser
import Basics
import Client
import Deployment
import Fleet
import Foundation
import Link
import Logging
import Web
import Synchronization

struct Up: AsyncParsableCommand, JSONAnswering {
  static let configuration = CommandConfiguration(
    abstract: "Run a whole AW on this machine, with a synthetic Org and its Instance.",
    discussion: """
      One process tree: the control plane, the AW Gateway, a Connector for this machine, and a model endpoint. The Org \
      'acme' gets the Instance 'acme-main', provisioned before your eyes. Ctrl-C ends all of it; the next 'aw up' with \
      the same --data goes on where this one stopped.
      """)

  @Option(help: ArgumentHelp(HelpWords.data, valueName: "dir"), completion: .directory) var data: String?
  @Option(help: "process, or docker for hardened containers.") var runtime: RuntimeKind = .process
  @Option(help: "The image of the docker runtime.") var image = "aw-openclaw-synthetic:latest"
  @Option(
    help: ArgumentHelp(
      "The program to run as OpenClaw.",
      discussion: "Without it: 'openclaw' on the search path, else the synthetic stand-in beside this program.",
      valueName: "path"), completion: .file())
  var openclaw: String?
  @Option(help: ArgumentHelp("An argument before OpenClaw's own; may be repeated.", valueName: "word"))
  var openclawArgument: [String] = []
  @Option(help: ArgumentHelp("The Docker Engine's socket.", valueName: "path"), completion: .file())
  var dockerSocket = "/var/run/docker.sock"
  @Option(
    help: ArgumentHelp(
      "Where the console listens; else 127.0.0.1:\(ControlPlaneSettings.consolePort), or a free port if that is taken.",
      valueName: "address:port"))
  var listen: String?
  @OptionGroup var rehearsal: RehearsalOptions
  @OptionGroup var output: OutputOptions
  @OptionGroup var log: LogOptions

  func run() async throws {
    let path = data ?? DefaultDirectory.path
    if rehearsal.dryRun {
      return try Console.show(Self.plan(path, runtime), json: output.json)
    }
    let logger = log.logger("aw", default: .warning)
    let directory = try DataDirectory(path)
    var wanted = Demo.Settings()
    wanted.runtime = runtime
    wanted.image = runtime == .docker ? image : nil
    wanted.host.openClaw = openclaw
    wanted.host.openClawArguments = openclawArgument
    wanted.host.dockerSocket = dockerSocket
    let setup = try await DemoSetup(
      directory, wanted, listen: try listen.map { try .init($0) }, logger: logger)
    let reporter = Reporter(json: output.json)
    reporter.say("AW \(Release.version) in \(directory.path)")
    if runtime == .process { reporter.say("OpenClaw: \(setup.openClaw)") }
    let control = try await ControlPlane.open(directory, setup.control, logger: logger)
    try await control.run { running in
      reporter.say("The control plane answers at \(running.url)")
      let demo = Demo(
        control: control, settings: setup.settings, directory: directory, logger: logger,
        tell: { reporter.tell($0) })
      return [setup.model] + (try await demo.services(running))
    }
    reporter.say("Ended. The data stays in \(directory.path).")
  }

  private static func plan(_ path: String, _ runtime: RuntimeKind) -> Plan {
    Plan(
      act: "up", subject: "this machine",
      steps: [
        "Keep everything in \(path), made with mode 0700 when it is missing.",
        "Run the control plane with its console, its AW Gateway and a model endpoint, on this machine's loopback.",
        "Make this machine a Host with a Connector of its own.", "Create the synthetic Org 'acme'.",
      ] + InstancePlan.provision.steps.map { "acme-main (\(runtime.rawValue)): \($0.title)." }
        + ["Show the console's address and a one-time sign-in link."])
  }

  /// Says what happens: lines for people, or one JSON document at the end.
  private final class Reporter: Sendable {
    private let json: Bool
    private let lines = Mutex(ProgressLines())

    init(json: Bool) { self.json = json }

    func say(_ text: String) {
      if json { Console.complain(text) } else { Console.line(text) }
    }

    func tell(_ news: Demo.News) {
      switch news {
      case .said(let text): say(text)
      case .moved(let operation): if !json { lines.withLock { $0.show(operation) } }
      case .ready(let ready): show(ready)
      }
    }

    private func show(_ ready: Demo.Ready) {
      if json {
        do { try Console.json(ready) } catch { Console.complain("\(error)") }
        return
      }
      // As it was called: it need not be on the search path.
      let program = CommandLine.arguments.first ?? "aw"
      Console.line(
        """

        \(ready.instance) is \(Console.coloured(ready.status)): \(ready.reason)

          Console   \(ready.url)
          Sign in   \(ready.signIn)
                    (works once, for 15 minutes)
          From another shell:
                    \(program) status --context \(ready.context)
          Another link to sign in:
                    \(program) operator sign-in-link owner --context \(ready.context)

        Ctrl-C ends it.
        """)
    }
  }
}

extension RuntimeKind: ExpressibleByArgument {}
