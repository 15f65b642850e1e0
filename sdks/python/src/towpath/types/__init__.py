"""
What the API answers, by name.

Optional means that the field may be absent. Fields that a platform adds later are readable at once.
"""

from towpath.types.inference import CallableModel as CallableModel
from towpath.types.inference import ChatChoice as ChatChoice
from towpath.types.inference import ChatCompletion as ChatCompletion
from towpath.types.inference import ChatCompletionChunk as ChatCompletionChunk
from towpath.types.inference import ChatMessage as ChatMessage
from towpath.types.inference import ChunkChoice as ChunkChoice
from towpath.types.inference import Completion as Completion
from towpath.types.inference import CompletionChoice as CompletionChoice
from towpath.types.inference import Embedding as Embedding
from towpath.types.inference import EmbeddingList as EmbeddingList
from towpath.types.inference import FunctionCall as FunctionCall
from towpath.types.inference import ModelList as ModelList
from towpath.types.inference import ModelPrice as ModelPrice
from towpath.types.inference import Prediction as Prediction
from towpath.types.inference import PredictUsage as PredictUsage
from towpath.types.inference import ServedModel as ServedModel
from towpath.types.inference import TokenUsage as TokenUsage
from towpath.types.inference import ToolCall as ToolCall
from towpath.types.organisation import Application as Application
from towpath.types.organisation import Key as Key
from towpath.types.organisation import Member as Member
from towpath.types.organisation import Project as Project
from towpath.types.organisation import ServiceAccount as ServiceAccount
from towpath.types.organisation import Team as Team
from towpath.types.organisation import Token as Token
from towpath.types.organisation import User as User
from towpath.types.record import Actor as Actor
from towpath.types.record import AuditEvent as AuditEvent
from towpath.types.record import RequestRecord as RequestRecord
from towpath.types.record import UsageLine as UsageLine
from towpath.types.record import UsageReport as UsageReport
from towpath.types.resource import Condition as Condition
from towpath.types.resource import Environment as Environment
from towpath.types.resource import Resource as Resource
from towpath.types.serving import Access as Access
from towpath.types.serving import DeployedModel as DeployedModel
from towpath.types.serving import DeployedRuntime as DeployedRuntime
from towpath.types.serving import Deployment as Deployment
from towpath.types.serving import DeploymentCheck as DeploymentCheck
from towpath.types.serving import DeploymentLogs as DeploymentLogs
from towpath.types.serving import Endpoint as Endpoint
from towpath.types.serving import EndpointStatus as EndpointStatus
from towpath.types.serving import Health as Health
from towpath.types.serving import ModelVersion as ModelVersion
from towpath.types.serving import Node as Node
from towpath.types.serving import Provider as Provider
from towpath.types.serving import RegisteredModel as RegisteredModel
from towpath.types.serving import Replica as Replica
from towpath.types.serving import ReplicaLog as ReplicaLog
from towpath.types.serving import Runtime as Runtime
from towpath.types.serving import Target as Target
