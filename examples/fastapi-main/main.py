from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def root() -> dict[str, str]:
    return {"message": "Hello from FastAPI"}


@app.get("/items/{number}")
async def item(number: int) -> dict[str, int]:
    return {"item": number, "double": number * 2}
