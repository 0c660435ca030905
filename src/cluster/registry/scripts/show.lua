return info()
